"""A training step: the same update however the task batch is divided, compiled or spread over devices."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from numpy_reference import value
from small_runs import ROOT, SMALL, TINY, as_floats, experiment_of, glyphs

from hypertransformer_tf import keras_stack
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training import step as step_module
from hypertransformer_tf.training.build import build_training

EPISODES = 4
# With a rate of 1, plain gradient descent moves every variable by its gradient.
DESCENT = (
    "optimizer.name = 'sgd'",
    "optimizer.learning_rate = 1.0",
    "optimizer.warmup_steps = 0",
    f"training.task_batch = {EPISODES}",
    "cnn.trained_layers = 2",
    "loss.label_smoothing = 0.1",
    "loss.l2 = 0.001",
)


def _build(*changes, settings=SMALL, strategy="one_device"):
    experiment = experiment_of(*DESCENT, *changes, settings=settings)
    images = glyphs()
    batch = experiment.training_sampler(images).task_batch(0, EPISODES)
    return build_training(experiment, images, strategy), batch


def _values(parts):
    return {name: value(variable) for name, variable in parts.model.named_variables().items()}


def _trained(parts, batch, steps=1):
    """Losses of the steps and how far they moved each variable."""
    before = _values(parts)
    losses = [as_floats(parts.step(batch, step)) for step in range(steps)]
    return losses, {name: after - before[name] for name, after in _values(parts).items()}


def _put_back(parts, values):
    for name, variable in parts.model.named_variables().items():
        variable.assign(values[name])
    parts.update.gather()


def _assert_close(results, expected, tolerance):
    """Relative to the largest entry of all."""
    assert results.keys() == expected.keys()
    largest = max(np.abs(each).max() for each in expected.values())
    assert largest > 1e-3
    for name in expected:
        np.testing.assert_allclose(results[name], expected[name], rtol=0, atol=tolerance * largest, err_msg=name)


def _assert_same_step(result, expected, tolerance):
    for ours, theirs in zip(result[0], expected[0]):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)
    _assert_close(result[1], expected[1], tolerance)


@pytest.fixture(scope="module")
def whole():
    """Two steps on the task batch as a whole."""
    parts, batch = _build()
    return _trained(parts, batch, steps=2)


@pytest.fixture
def eagerly():
    """Every operation at once: nothing is built for a step that is taken only once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_the_gradient_of_a_task_batch_is_the_mean_over_its_episodes(eagerly):
    parts, batch = _build()
    begin = _values(parts)
    losses, together = _trained(parts, batch)
    alone = []
    for episode in range(EPISODES):
        _put_back(parts, begin)
        alone.append(_trained(parts, Episode(*(field[episode : episode + 1] for field in batch))))
    _assert_close(together, {name: np.mean([moved[name] for _, moved in alone], 0) for name in together}, 1e-5)
    for name, mean in losses[0].items():
        assert mean == pytest.approx(np.mean([each[0][name] for each, _ in alone]), rel=1e-5)


def test_every_variable_moves(whole):
    assert not [name for name, moved in whole[1].items() if not np.abs(moved).any() and "key" not in name]


@pytest.mark.parametrize("groups", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_computing_a_task_batch_in_groups_changes_nothing(whole, groups):
    parts, batch = _build(f"training.groups = {groups}")
    _assert_same_step(_trained(parts, batch, steps=2), whole, 1e-5)


def test_where_a_process_has_one_device_the_update_is_not_mirrored_and_computes_the_same(whole):
    parts, batch = _build(strategy="mirrored")
    assert isinstance(parts.strategy, tf.distribute.MirroredStrategy)
    mirrored = tf.distribute.DistributedValues
    assert isinstance(keras_stack.tensorflow_variable(parts.model.trainable_variables[0]), mirrored)
    assert not any(isinstance(each, mirrored) for each in parts.update._trained)
    _assert_close(_trained(parts, batch, steps=2)[1], whole[1], 1e-6)


@pytest.mark.slow
def test_a_compiled_step_computes_the_same(whole):
    parts, batch = _build("training.compile = True", "training.groups = 2")
    _assert_same_step(_trained(parts, batch, steps=2), whole, 1e-4)


@pytest.mark.parametrize("precision, tolerance", [("bfloat16", 0.2), ("float16", 0.05)])
@pytest.mark.slow
def test_a_step_in_a_lower_precision_is_near_that_in_float32(whole, precision, tolerance):
    parts, batch = _build(f"training.precision = '{precision}'")
    losses, moved = _trained(parts, batch)
    assert losses[0]["total"] == pytest.approx(whole[0][0]["total"], rel=tolerance)
    expected = _trained(*_build())[1]
    ours, theirs = (np.concatenate([each[name].ravel() for name in expected]) for each in (moved, expected))
    assert 0 < np.linalg.norm(ours - theirs) < tolerance * np.linalg.norm(theirs)


def test_a_step_whose_gradient_overflows_in_float16_is_skipped_and_halves_the_scale():
    parts, batch = _build("training.precision = 'float16'", settings=TINY)
    scale = parts.update.loss_scale.scale
    scale.assign(2.0**120)
    before = _values(parts)
    assert np.isfinite(float(parts.step(batch, 0).total))
    assert all((after == before[name]).all() for name, after in _values(parts).items())
    assert float(scale) == 2.0**119 and int(np.asarray(parts.optimizer.iterations)) == 0
    scale.assign(2.0**10)
    parts.step(batch, 1)
    assert any((after != before[name]).any() for name, after in _values(parts).items())
    assert float(scale) == 2.0**10 and int(np.asarray(parts.optimizer.iterations)) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_float16_scales_its_loss(precision):
    parts, _ = _build(f"training.precision = '{precision}'", settings=TINY)
    assert parts.update.loss_scale is None and parts.update.state() == {}


@pytest.mark.parametrize("form", ["plain", pytest.param("grouped", marks=pytest.mark.slow)])
def test_the_form_of_the_convolutions_changes_nothing(whole, form):
    compiled = "training.compile = True" if form == "grouped" else "training.compile = False"
    parts, batch = _build(f"training.convolution_form = '{form}'", compiled)
    assert parts.model.convolution_form == form
    _assert_same_step(_trained(parts, batch, steps=2), whole, 1e-4)


@pytest.mark.slow
def test_two_devices_skip_a_step_together():
    program = """
from test_step import TINY, _build, _values
parts, batch = _build("training.precision = 'float16'", settings=TINY, strategy="mirrored")
before = _values(parts)
for scale in (2.0**120, 2.0**10):
    parts.update.loss_scale.scale.assign(scale)
    parts.step(batch, 0)
    moved = any((after != before[name]).any() for name, after in _values(parts).items())
    print(parts.strategy.num_replicas_in_sync, moved, float(parts.update.loss_scale.scale.numpy()) / scale)
"""
    environment = {**os.environ, "HT_VIRTUAL_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 False 0.5\n2 True 1.0\n"


@pytest.mark.slow
def test_two_devices_compute_what_one_does(whole, tmp_path):
    program = """
import sys
import numpy as np
from hypertransformer_tf.errors import UserError
from test_step import _build, _trained
print("replicas", _build("training.task_batch = 3", strategy="auto")[0].strategy.num_replicas_in_sync)
try:
    _build("training.task_batch = 3", strategy="mirrored")
except UserError as error:
    print(error)
parts, batch = _build(strategy="auto")
losses, moved = _trained(parts, batch, steps=2)
for name in ("total", "cross_entropy", "accuracy"):
    moved[f"loss/{name}"] = np.array([each[name] for each in losses])
np.savez(sys.argv[1], replicas=parts.strategy.num_replicas_in_sync, **moved)
"""
    path = [str(ROOT), str(ROOT / "tests")]
    environment = {**os.environ, "HT_VIRTUAL_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONPATH"] = os.pathsep.join(path)
    command = [sys.executable, "-c", program, str(tmp_path / "moved.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "replicas 1\n" in done.stdout and "--strategy=auto uses 1 of 2 devices" in done.stderr
    assert "training.task_batch = 3 cannot be divided over 2 devices" in done.stdout
    moved = dict(np.load(tmp_path / "moved.npz"))
    assert moved.pop("replicas") == 2
    names = ("total", "cross_entropy", "accuracy")
    columns = [moved.pop(f"loss/{name}") for name in names]
    _assert_same_step(([dict(zip(names, row)) for row in zip(*columns)], moved), whole, 1e-5)


def test_what_a_step_draws_follows_from_seed_and_step():
    parts, batch = _build(settings=TINY)
    begin = _values(parts)

    def loss(step):
        _put_back(parts, begin)
        return float(parts.step(batch, step).total)

    assert loss(5) == loss(5)
    assert len({loss(step) for step in (0, 1, 2, 3, 2**15, 2**16, 2**17)}) == 7


def test_groups_draw_for_themselves_from_a_seed_that_the_step_gives_all(eagerly, monkeypatch):
    """How many samples a step removes is drawn once, whatever the number of groups."""
    seeds, losses = [], step_module.task_batch_losses

    def noted(model, batch, loss, step, seed, n_way, step_seed):
        seeds.append((tuple(seed.numpy()), tuple(step_seed.numpy())))
        return losses(model, batch, loss, step, seed, n_way, step_seed)

    monkeypatch.setattr(step_module, "task_batch_losses", noted)
    parts, batch = _build("training.groups = 4", "training.seed = 7", settings=TINY)
    parts.step(batch, 3)
    assert len({own for own, _ in seeds}) == 4
    assert {shared for _, shared in seeds} == {(7, 3)}


def test_a_task_batch_that_groups_do_not_divide_is_refused():
    with pytest.raises(UserError, match="training.groups = 3 does not divide training.task_batch = 4"):
        _build("training.groups = 3")


def test_initial_variables_follow_from_the_seed():
    first, second, third = (_values(_build(f"training.seed = {seed}")[0]) for seed in (1, 1, 2))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != third[name]).any() for name in first)
