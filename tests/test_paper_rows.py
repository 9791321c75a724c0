"""The files of the paper's rows: each is in the index, loads, builds its model and can take a step."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from small_runs import ROOT, as_floats, noise, own_configuration

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.reproduction.composed_file import composed_text
from hypertransformer_tf.reproduction.index import number_of, read_index
from hypertransformer_tf.reproduction.readme_tables import readme_text
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.train import load_experiment

GIN = ROOT / "gin"
INDEX = read_index()
FILES = sorted({row.file for row in INDEX})
BASELINES = {"ProtoNet": "prototypical", "MAML": "maml", "MAML++": "maml", "RFS": "rfs"}
BASELINES.update(oracle="oracle", pixels="pixels")


def load(file: str, *bindings: str) -> Experiment:
    with own_configuration():
        return load_experiment(str(GIN / file), bindings)


@pytest.fixture(scope="module")
def experiments() -> dict[str, Experiment]:
    return {file: load(file) for file in FILES}


def test_every_row_has_a_file_and_every_file_a_row():
    assert FILES == sorted(f"paper/{path.name}" for path in (GIN / "paper").iterdir())


@pytest.mark.slow
def test_every_row_is_a_configuration_on_a_budget_too_and_but_for_two_of_its_own(experiments, tmp_path):
    composed = {}
    for file, row in experiments.items():
        if not row.method.is_meta_trained:
            continue  # no steps on which a budget could be spent
        (tmp_path / "row.gin").write_text(composed_text(file, 500, row))
        with own_configuration():
            ours = load_experiment(str(tmp_path / "row.gin"))
        assert (ours.cnn, ours.episodes, ours.data, ours.method) == (row.cnn, row.episodes, row.data, row.method), file
        composed.setdefault(ours, {})[file] = row
    merged = [sorted(same) for same in composed.values() if len(set(same.values())) > 1]
    alike = ("omniglot_1shot_8ch_mixed_features", "omniglot_1shot_8ch_shared_head", "omniglot_1shot_all_layers_8ch")
    assert merged == [[f"paper/{name}.gin" for name in alike]]  # our recipe has what two of them add to the third


def test_a_row_is_in_its_place_once():
    places = collections.Counter((row.table, row.panel, row.series, row.x) for row in INDEX)
    assert max(places.values()) == 1
    for row in INDEX:
        assert row.table and row.figure and row.panel and row.series and row.x


def test_numbers_are_numbers_and_those_of_the_paper_say_where_they_are_from():
    for row in INDEX:
        for value in (row.paper, row.paper_train, row.ours, row.interval):
            assert not value or 0 <= number_of(value) <= 100, row
        assert not row.paper or row.note.startswith("paper, at second hand"), row


def test_the_papers_numbers_are_those_that_were_handed_down(shared):
    text = (shared / "paper.md").read_text()
    for row in INDEX:
        assert not row.paper or row.paper in text, row
    known = {(row.panel, row.x): row.paper for row in INDEX if row.table == "table_1" and row.series == "all layers"}
    lines = [line for line in text.splitlines() if "-way" in line and line.count("|") == 7]
    assert len(lines) == 6
    for line in lines:
        task, *numbers = (cell.strip().rstrip("*") for cell in line.strip("|").split("|"))
        for channels, number in zip(("8", "16", "32", "48", "64"), numbers):
            expected = "" if number == "-" else number
            if (task, channels) == ("miniImageNet 5-way 5-shot", "64"):
                expected = "68.5"  # given in the text below the table
            assert known[task, channels] == expected


def test_the_papers_table_4_is_in_the_index_cell_by_cell():
    """On test and on training classes, 20-way 5-shot."""
    rows = {(row.series, row.x): (row.paper, row.paper_train) for row in INDEX if row.table == "table_4" and row.paper}
    assert rows == {
        ("logits only", "4"): ("77.9", "79.2"),
        ("logits only", "6"): ("90.0", "91.4"),
        ("logits only", "8"): ("94.4", "95.8"),
        ("all layers", "4"): ("82.0", "83.4"),
        ("all layers", "6"): ("90.7", "92.0"),
        ("all layers", "8"): ("94.6", "96.0"),
    }


def test_the_readme_shows_what_the_index_says():
    text = (GIN / "README.md").read_text(encoding="utf-8")
    assert readme_text(text, INDEX) == text, "bin/gin_index brings the tables up to date"


@pytest.mark.parametrize("row", INDEX, ids=lambda row: f"{row.table}:{row.panel}:{row.series}:{row.x}")
def test_a_file_holds_what_its_row_says(row, experiments):
    experiment = experiments[row.file]
    assert experiment.method.name == BASELINES.get(row.series, "hypertransformer")
    assert experiment.maml.learn_inner_rates == (row.series == "MAML++")
    if row.table in ("table_1", "table_4", "methods", "colour") and row.series != "pixels":  # which has no channels
        assert experiment.cnn.channels == int(row.x)
        assert experiment.cnn.trained_layers == (4 if row.series == "logits only" else 0)
    if row.table in ("table_1", "table_4", "methods", "colour", "semi_supervised"):
        sources = {"Omniglot": "omniglot", "CIFAR-FS": "cifar_fs", "FC100": "fc100"}
        sources.update({"miniImageNet": "mini_imagenet", "tieredImageNet": "tiered_imagenet"})
        name, way, shot = row.panel.split()
        assert experiment.data.source.split(":")[0] == sources[name]
        assert f"{experiment.episodes.n_way}-way" == way
        # The oracle's support set is all that is not held out, whatever the other rows of its panel have.
        assert row.series == "oracle" or f"{experiment.episodes.k_shot}-shot" == shot
    if row.table == "semi_supervised":
        assert experiment.episodes.unlabelled_per_class == int(row.x)
        assert experiment.transformer.layers == int(row.series[0])
    if row.table.startswith("parameters"):
        assert f"parameters_{experiment.cnn.channels}ch" == row.table
        found = {
            "transformer layers": experiment.transformer.layers,
            "attention heads": experiment.transformer.heads,
            "local feature size": experiment.features.local_dim,
            "embedding size": experiment.transformer.embedding_dim,
            "shared feature size": experiment.features.shared_dim if experiment.features.shared_layers else 0,
            "query, key and value fraction": experiment.transformer.value_size,
        }
        assert found[row.panel] == float(row.x)
    if row.table == "mixtures":
        number = {"none": 0, "all 4": 4}.get(row.x)
        number = int(row.x[-1]) * (-1 if row.x.startswith("last") else 1) if number is None else number
        assert experiment.cnn.trained_layers == number
    if row.table == "allocation":
        assert experiment.generator.allocation == row.x
        if row.panel.endswith("two-layer CNN"):
            assert (experiment.cnn.architecture, experiment.cnn.kernel_size, experiment.cnn.stride) == ("2-layer", 9, 4)
            generated = {"both generated": 2, "one generated": 1, "none generated": 0}[row.series]
            assert experiment.cnn.trained_layers == 2 - generated
    if row.table == "others":
        assert f"{experiment.episodes.k_shot}-shot" == row.x and experiment.episodes.n_way == 5


def differences(experiment: Experiment, base: Experiment) -> dict[str, object]:
    """What an experiment has otherwise than its base, by gin names."""
    theirs = base.effective()
    return {
        f"{part}.{name}": value
        for part, values in experiment.effective().items()
        for name, value in values.items()
        if value != theirs[part][name]
    }


OPTIONS = {
    "label_smoothing": {"loss.label_smoothing": 0.1},
    "generated_batch_norm": {"generator.batch_norm": True},
    "generated_bias": {"generator.bias": True},
    "trained_weights_added": {"generator.add_trained_weights": True},
    "separate_query_variables": {"cnn.separate_query_variables": True},
    "cnn_dropout": {"cnn.dropout": 0.1},
    "feature_dropout": {"features.local_dropout": 0.1, "features.shared_dropout": 0.1},
    "transformer_dropout": {"transformer.dropout": 0.1},
    "l2": {"loss.l2": 1e-4},
    "shared_head": {"loss.shared_head": 0.1},
    "warmup_heads": {"cnn.warmup_heads": "trained", "loss.head_steps": 10_000},
    "sigmoid_attention": {"transformer.attention": "sigmoid"},
    "encoder_decoder": {"transformer.variant": "encoder_decoder"},
    "separate_generator": {"transformer.variant": "separate", "transformer.heads": 1},
    "skip_last_nonlinearity": {"transformer.skip_last_nonlinearity": True},
    "nonlinear_features": {"features.nonlinear": True},
    "passthrough_features": {"features.logits": "passthrough"},
    "mixed_features": {"features.logits": "mix"},
    "shared_batch_norm": {"features.shared_batch_norm": True},
    "4_layer_cnn": {"cnn.architecture": "4-layer"},
    "3_layer_cnn": {"cnn.architecture": "3-layer", "cnn.stride": 2},
}


def test_a_row_of_an_option_has_that_option_and_nothing_else_of_its_own(experiments):
    base = experiments["paper/omniglot_1shot_all_layers_8ch.gin"]
    named = [row.name for row in INDEX if row.table == "options" and experiments[row.file] != base]
    assert sorted(named) == sorted(f"omniglot_1shot_8ch_{option}" for option in OPTIONS)
    for option, expected in OPTIONS.items():
        assert differences(experiments[f"paper/omniglot_1shot_8ch_{option}.gin"], base) == expected, option


STUDIED = {
    "transformer layers": {"transformer.layers"},
    "attention heads": {"transformer.heads"},
    "local feature size": {"features.local_dim"},
    "embedding size": {"transformer.embedding_dim"},
    "shared feature size": {"features.shared_dim", "features.shared_layers"},
    "query, key and value fraction": {"transformer.query_key_size", "transformer.value_size"},
}


@pytest.mark.parametrize("table, base", [("16ch", "1shot_logits_only_16ch"), ("4ch", "5shot_all_layers_4ch")])
def test_a_row_of_the_parameter_study_has_another_value_of_its_parameter_alone(table, base, experiments):
    for row in INDEX:
        if row.table == f"parameters_{table}":
            changed = differences(experiments[row.file], experiments[f"paper/omniglot_{base}.gin"])
            assert changed.keys() <= STUDIED[row.panel], row
            assert len({repr(value) for value in changed.values()}) <= 1, row
            assert bool(changed) == (row.name != f"omniglot_{base}"), row


def test_lgm_nets_setting_is_that_of_the_paper(experiments):
    experiment = experiments["paper/mini_imagenet_1shot_lgm_net.gin"]
    assert experiment.data.source.startswith("mini_imagenet:")
    assert (experiment.cnn.architecture, experiment.cnn.channels, experiment.cnn.trained_layers) == ("lgm-net", 64, 4)
    assert (experiment.features.local_dim, experiment.features.shared_layers) == (48, 0)
    assert experiment.transformer.layers == 2
    assert not experiment.image_augmentation.enabled and experiment.augmentation.per_class


@pytest.mark.parametrize("shots", [1, 5])
def test_on_leos_embeddings_the_logits_layer_is_all_there_is(shots, experiments):
    experiment = experiments[f"paper/leo_embeddings_{shots}shot_logits_only.gin"]
    assert experiment.data.source.startswith("leo_embeddings:") and experiment.episodes.k_shot == shots
    assert experiment.cnn.architecture == "no-convolutions"
    assert (experiment.features.logits, experiment.features.shared_layers) == ("passthrough", 0)


@pytest.mark.parametrize("channels", [4, 6, 8, 16, 32])
def test_the_oracle_gets_all_drawings_of_a_character_but_those_held_out(channels, experiments):
    experiment = experiments[f"paper/omniglot_oracle_{channels}ch.gin"]
    assert experiment.episodes.samples_per_class == 20 and experiment.episodes.disjoint_queries
    assert experiment.training.steps == 0 and experiment.evaluation.query_batches == 1
    others = experiments[f"paper/omniglot_5shot_all_layers_{channels}ch.gin"]
    assert dataclasses.replace(others.cnn, trained_layers=0) == experiment.cnn


# spec: "The authors' settings (their published command lines)", one column each.
OMNIGLOT = {
    "data": {"source": "omniglot", "image_size": 28, "channels": 1},
    "augmentation": {"rotate_by_90": True, "per_class": True},
    "image_augmentation": {"enabled": False},
    "cnn": {"activation": "relu", "channels": 8},
    "features": {"local_dim": 8, "shared_dim": 32},
    "transformer": {
        "heads": 2,
        "query_key_size": 1.0,
        "value_size": 1.0,
        "inner_size": 1.0,
        "activation": "relu",
    },
    "optimizer": {"learning_rate": 0.02},
}
IMAGES = {
    "data": {"image_size": 84, "channels": 3},
    "augmentation": {"rotate_by_90": False},
    "image_augmentation": {"enabled": True, "individually": False},
    "cnn": {"activation": "leaky_relu"},
    "features": {"shared_dim": 16},
    "transformer": {
        "heads": 8,
        "query_key_size": 0.5,
        "value_size": 0.5,
        "inner_size": 0.5,
        "activation": "leaky_relu",
    },
    "optimizer": {"learning_rate": 0.01},
}
COMMON = {
    "cnn": {"architecture": "maxpool-4-layer", "kernel_size": 3, "stride": 1, "trained_layers": 0, "dropout": 0.0},
    "features": {"shared_layers": 4, "shared_padding": "same", "shared_batch_norm": False, "local_layers": 2},
    "transformer": {"embedding_dim": 32, "layers": 3, "variant": "encoder", "match_labels": False, "output_scale": 1.0},
    "generator": {"allocation": "output", "bias": False, "batch_norm": False, "add_trained_weights": False},
    "loss": {"label_smoothing": 0.0, "l2": 0.0, "shared_head": 0.0},
    "optimizer": {
        "name": "sgd",
        "schedule": "exponential",
        "decay_rate": 0.95,
        "decay_steps": 100_000,
        "clip_norm": 0.0,
        "warmup_steps": 0,
    },
    "training": {"steps": 4_000_000, "task_batch": 1},
    "evaluation": {"episodes": 1024, "query_batches": 16},
}
AUTHORS = [
    ("omniglot_1shot_all_layers_8ch", OMNIGLOT, {}, (20, 20, 60)),
    ("omniglot_5shot_all_layers_8ch", OMNIGLOT, {}, (20, 100, 100)),
    (
        "mini_imagenet_1shot_all_layers_16ch",
        IMAGES,
        {"data": {"source": "mini_imagenet:mini_imagenet"}, "cnn": {"channels": 16}, "features": {"local_dim": 16}},
        (5, 5, 100),
    ),
    (
        "tiered_imagenet_1shot_all_layers_8ch",
        IMAGES,
        {"data": {"source": "tiered_imagenet:tiered_imagenet"}, "cnn": {"channels": 8}, "features": {"local_dim": 8}},
        (5, 5, 100),
    ),
]


@pytest.mark.parametrize("name, of_data, own, sizes", AUTHORS, ids=[name for name, *_ in AUTHORS])
def test_the_authors_published_settings_are_theirs_setting_by_setting(name, of_data, own, sizes, experiments):
    experiment = experiments[f"paper/{name}.gin"]
    for settings in (COMMON, of_data, own):
        for part, expected in settings.items():
            given = dataclasses.asdict(getattr(experiment, part))
            assert {key: given[key] for key in expected} == expected, part
    episodes = experiment.episodes
    n_way = episodes.n_way
    assert (n_way, n_way * episodes.support_per_class, n_way * episodes.queries_per_class) == sizes
    assert episodes.unlabelled_per_class == 0


@pytest.fixture
def eagerly():
    """Every operation at once: nothing is built for a step that is taken only once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_a_file_takes_a_step_on_made_up_images(file, eagerly):
    few = ["training.task_batch = 1", "training.groups = 1", "episodes.queries_per_class = 1"]
    few += ["maml.inner_steps = 2"] * ("maml" in file)
    experiment = load(file, "training.compile = False", *few)
    episodes, side = experiment.episodes, experiment.data.image_size
    images = noise(episodes.n_way, episodes.samples_per_class, (side, side, experiment.data.channels))
    if not experiment.method.is_meta_trained:
        _learns_a_support_set(experiment, images)
        return
    parts = build_training(experiment, images, "one_device")
    before = np.array(parts.update.vector)
    losses = as_floats(parts.step(experiment.training_sampler(images).task_batch(0, 1), 0))
    assert all(np.isfinite(loss) for loss in losses.values()) and losses["total"] > 0
    assert np.isfinite(parts.update.vector).all() and (np.array(parts.update.vector) != before).any()


def _learns_a_support_set(experiment: Experiment, images: ImagesByClass) -> None:
    oracle = experiment.method.name == "oracle"
    if oracle:
        experiment = dataclasses.replace(experiment, oracle=dataclasses.replace(experiment.oracle, steps=2))
    model, episode = build_model(experiment, images), experiment.training_sampler(images).episode(0)
    learned = model.generate(episode.support_images, episode.support_labels)
    if oracle:
        before = np.array(model.convolutions.values()[0].kernel)[0]
        assert (np.array(learned.convolutions[0].kernel) != before).any()
    assert np.isfinite(model.classify(episode.query_images, learned)).all()
