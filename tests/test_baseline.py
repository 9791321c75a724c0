"""What holds for every baseline: the HyperTransformer's interface, and training with its loop."""

import numpy as np
import pytest
import tensorflow as tf
from small_baselines import LABELS, MASK, N_WAY, QUERY, SUPPORT, make_baseline
from small_model import assert_close
from small_runs import (
    SMALL,
    as_floats,
    assert_same_state,
    experiment_of,
    latest,
    noise,
    own_configuration,
    run_here,
    write_gin,
)

from hypertransformer_tf.baselines.config import METHODS, MethodConfig
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.train import train

BASELINES = [name for name in METHODS if name != "hypertransformer"]
CHANGES = {"prototypical": (), "maml": ("maml.inner_steps = 1",), "rfs": ()}
every_baseline = pytest.mark.parametrize("name", BASELINES)
every_meta_trained = pytest.mark.parametrize("name", [name for name in BASELINES if MethodConfig(name).is_meta_trained])


def _changes(name, *others):
    return (f"method.name = '{name}'", *CHANGES[name], *others)


@every_baseline
@pytest.mark.parametrize("normalisation", ["query", "task"])
def test_one_episode_gets_the_answers_it_gets_in_a_task_batch(name, normalisation):
    model = make_baseline(name, CnnConfig(channels=2, normalisation=normalisation))
    together = model.classify(QUERY, model.generate(SUPPORT, LABELS, MASK))
    alone = [
        model.classify(query, model.generate(support, labels, mask))
        for support, labels, mask, query in zip(SUPPORT, LABELS, MASK, QUERY)
    ]
    assert together.shape == (*QUERY.shape[:2], N_WAY)
    assert_close(together, tf.stack(alone), 1e-4)


@every_baseline
@pytest.mark.parametrize("normalisation", ["support", "task"])
def test_with_inductive_normalisation_a_query_does_not_depend_on_the_others(name, normalisation):
    model = make_baseline(name, CnnConfig(channels=2, normalisation=normalisation))
    learned = model.generate(SUPPORT, LABELS)
    together = model.classify(QUERY, learned)
    alone = [model.classify(QUERY[:, i : i + 1], learned) for i in range(QUERY.shape[1])]
    assert_close(together, tf.concat(alone, 1), 1e-4)


@every_baseline
def test_both_forms_of_the_convolutions_answer_alike(name):
    folded = make_baseline(name)
    plain = make_baseline(name)
    plain.convolution_form = plain.convolutions.form = "plain"
    assert_close(*(model.classify(QUERY, model.generate(SUPPORT, LABELS)) for model in (folded, plain)), 1e-3)


@every_baseline
def test_an_episode_may_have_fewer_classes_than_the_model(name):
    model = make_baseline(name)
    labels = np.where(LABELS == 2, -1, LABELS)
    assert model.classify(QUERY, model.generate(SUPPORT, labels, n_way=2)).shape == (*QUERY.shape[:2], 2)
    with pytest.raises(UserError, match="n_way = 4"):
        model.generate(SUPPORT, labels, n_way=4)


@every_baseline
def test_what_cannot_be_a_support_set_is_refused(name):
    model = make_baseline(name)
    with pytest.raises(UserError, match="class 2 has no labelled sample"):
        model.generate(SUPPORT, np.where(LABELS == 2, -1, LABELS))
    with pytest.raises(UserError, match="support_images have shape"):
        model.generate(SUPPORT[..., :8, :], LABELS)


@every_baseline
def test_its_cnn_has_the_kernels_of_a_hypertransformers_cnn(name):
    shapes = {path: tuple(variable.shape) for path, variable in make_baseline(name).named_variables().items()}
    kernels = {path: shape for path, shape in shapes.items() if path.endswith("/kernel") and "layer_5" not in path}
    kernels.pop("class_head/kernel", None)
    assert sorted(kernels) == [f"convolutions/layer_{index}/kernel" for index in range(1, 5)]
    assert list(kernels.values()) == [(3, 3, 1, 2)] + 3 * [(3, 3, 2, 2)]


@every_meta_trained
def test_the_loss_falls_in_a_short_training(name):
    experiment = experiment_of(*_changes(name), "training.steps = 60", "optimizer.learning_rate = 0.02")
    images = noise(4, 4)
    parts, sampler = build_training(experiment, images, "one_device"), experiment.training_sampler(images)
    batch = sampler.task_batch(0, 2)  # the same again and again: noise has nothing else to be learned from
    losses = [as_floats(parts.step(batch, step))["total"] for step in range(60)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


@pytest.mark.slow
@every_meta_trained
def test_a_stopped_run_goes_on_bit_for_bit_and_is_measured_like_any_other(name, tmp_path, monkeypatch):
    gin_file = write_gin(tmp_path / "small.gin", *_changes(name), settings=SMALL)
    with own_configuration():
        whole = train(gin_file, run_dir=str(tmp_path / "whole"))
    for steps in (3, 6):
        assert (
            run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={tmp_path}/parts", f"--steps={steps}")
            == 0
        )
    assert_same_state(latest(tmp_path / "parts"), latest(tmp_path / "whole"))
    with own_configuration():
        measured = evaluate(str(tmp_path / "whole"), episodes=8, query_batches=1)
    assert measured.accuracy == whole.test.mean


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prototypical", "maml"])
def test_xla_compiles_it(name):
    changes = _changes(name, "training.compile = True", "cnn.architecture = 'maxpool-4-layer'", "cnn.stride = 1")
    experiment, images = experiment_of(*changes), noise(4, 4)
    sampler, plain = experiment.training_sampler(images), experiment_of(*changes, "training.compile = False")
    losses = [
        as_floats(build_training(each, images, "one_device").step(sampler.task_batch(0, 2), 0))["total"]
        for each in (experiment, plain)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    evaluator = Evaluator(build_training(experiment, images, "one_device").model, True)
    assert evaluator.measure(sampler, 2).episodes == 2
