"""The gin files: each can be trained, and the authors' one says what the authors published."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from small_runs import ROOT, as_floats, noise, own_configuration

from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.train import load_experiment

GIN = ROOT / "gin"
RUNS = sorted(path.name for path in GIN.glob("*.gin"))
PARTS = sorted(str(path.relative_to(GIN)) for path in GIN.rglob("*.gin") if path.parent != GIN)


def _load(name, *bindings):
    with own_configuration():
        return load_experiment(str(GIN / name), bindings)


@pytest.fixture
def eagerly():
    """Every operation at once: nothing is built for a step that is taken only once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_there_are_gin_files():
    assert {"omniglot_4layer.gin", "omniglot_4layer_fast.gin", "quickstart.gin"} <= set(RUNS)


OWN = (
    "omniglot_4layer_5min.gin",
    "omniglot_4layer_fast.gin",
)  # the model of omniglot_4layer.gin, of which these differ little


@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.slow] * (each in OWN)) for each in RUNS])
def test_a_gin_file_builds_its_model_and_takes_a_step(name, eagerly):
    groups = _load(name).training.groups
    experiment = _load(
        name, "training.compile = False", f"training.task_batch = {groups}", "episodes.queries_per_class = 1"
    )
    episodes, side = experiment.episodes, experiment.data.image_size
    images = noise(episodes.n_way, episodes.samples_per_class, (side, side, experiment.data.channels))
    batch = experiment.training_sampler(images).task_batch(0, groups)
    parts = build_training(experiment, images, "one_device")
    before = np.array(parts.update.vector)
    losses = as_floats(parts.step(batch, 0))
    assert all(np.isfinite(loss) for loss in losses.values()) and losses["total"] > 0
    assert np.isfinite(parts.update.vector).all() and (np.array(parts.update.vector) != before).any()


# The rows of the paper are read by test_paper_rows.py.
@pytest.mark.parametrize("name", [each for each in PARTS if not each.startswith("paper/")])
def test_a_part_sets_nothing_that_is_not_there(name):
    _load(name)


@pytest.mark.parametrize("name", RUNS)
def test_every_gin_file_is_in_the_index(name):
    assert name in (GIN / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RUNS + PARTS)
def test_a_gin_file_says_what_it_is_for(name):
    assert pathlib.Path(GIN / name).read_text(encoding="utf-8").startswith("# ")


def _subset(config, **expected):
    given = dataclasses.asdict(config)
    return {name: given[name] for name in expected}, expected


def test_the_authors_omniglot_settings_are_those_they_published():
    experiment = _load("omniglot_4layer.gin")
    pairs = [
        _subset(experiment.data, source="omniglot", image_size=28, channels=1),
        _subset(experiment.episodes, n_way=20, k_shot=1, queries_per_class=3, unlabelled_per_class=0),
        _subset(experiment.episodes, disjoint_queries=False),
        _subset(
            experiment.augmentation,
            rotate_by_90=True,
            per_class=True,
            rotation_probability=0.0,
            roll_probability=0.0,
            resize_probability=0.0,
            contrast_probability=0.0,
            smooth_probability=0.0,
            negate_probability=0.0,
        ),
        _subset(experiment.evaluation, queries_per_class=5),
        _subset(experiment.image_augmentation, enabled=False),
        _subset(
            experiment.cnn,
            architecture="maxpool-4-layer",
            channels=8,
            kernel_size=3,
            stride=1,
            activation="relu",
            dropout=0.0,
            trained_layers=0,
            separate_query_variables=False,
            normalisation="query",
            warmup_heads="none",
        ),
        _subset(
            experiment.features,
            local_layers=2,
            local_dim=8,
            nonlinear=False,
            logits="convolution",
            shared_layers=4,
            shared_dim=32,
            shared_padding="same",
            shared_batch_norm=False,
            local_dropout=0.0,
            shared_dropout=0.0,
            initializer="glorot_uniform",
        ),
        _subset(
            experiment.transformer,
            variant="encoder",
            layers=3,
            heads=2,
            embedding_dim=32,
            query_key_size=1.0,
            value_size=1.0,
            inner_size=1.0,
            attention="softmax",
            activation="relu",
            skip_last_nonlinearity=False,
            dropout=0.0,
            output_scale=1.0,
            match_labels=False,
        ),
        _subset(experiment.generator, allocation="output", bias=False, batch_norm=False, add_trained_weights=False),
        _subset(
            experiment.loss,
            label_smoothing=0.0,
            l2=0.0,
            variation=0.0,
            shared_head=0.0,
            shared_head_steps=0,
            only_shared_head=False,
            max_remove_labelled=0.0,
            max_remove_unlabelled=0.0,
        ),
        _subset(
            experiment.optimizer,
            name="sgd",
            learning_rate=0.02,
            schedule="exponential",
            decay_rate=0.95,
            decay_steps=100_000,
            warmup_steps=0,
            clip_norm=0.0,
            average=0.0,
        ),
        _subset(experiment.training, steps=4_000_000, task_batch=1, groups=1, shared_features_from=None),
        _subset(experiment.evaluation, episodes=1024, query_batches=16),
    ]
    for given, expected in pairs:
        assert given == expected
    assert experiment.episodes.n_way * experiment.episodes.k_shot == 20  # support images
    assert experiment.episodes.n_way * experiment.episodes.queries_per_class == 60  # query images


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("omniglot_4layer_")])
def test_our_own_recipes_train_the_authors_model(name):
    authors, ours = _load("omniglot_4layer.gin"), _load(name)
    # How variables begin is the recipe's; what is computed from them is the model's.
    features = dataclasses.replace(ours.features, initializer=authors.features.initializer)
    begin = {name: getattr(authors.transformer, name) for name in ("output_scale", "match_labels")}
    transformer = dataclasses.replace(ours.transformer, **begin)
    assert (ours.cnn, ours.generator) == (authors.cnn, authors.generator)
    assert (features, transformer) == (authors.features, authors.transformer)
    augmentation = dataclasses.replace(ours.augmentation, mirror_probability=0.0)
    assert ours.episodes.disjoint_queries and not authors.episodes.disjoint_queries
    episodes = dataclasses.replace(ours.episodes, disjoint_queries=False)
    assert (ours.data, episodes, augmentation) == (authors.data, authors.episodes, authors.augmentation)
