"""The update of one long vector is the update of the variables it is made of."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.runs.state import optimizer_arrays, restore_optimizer
from hypertransformer_tf.training.config import LAYERWISE, OptimizerConfig
from hypertransformer_tf.training.flat_update import FlatUpdate
from hypertransformer_tf.training.loss_scale import LossScale
from hypertransformer_tf.training.recipe import make_optimizer

SHAPES = ((3, 4), (5,), (), (2, 1, 3))
CONFIGS = {
    "sgd": OptimizerConfig(name="sgd", learning_rate=0.1),
    "adam": OptimizerConfig(name="adam", learning_rate=0.1, beta_2=0.99),
    "nadam": OptimizerConfig(name="nadam", learning_rate=0.1),
    "adamw": OptimizerConfig(name="adamw", learning_rate=0.1, weight_decay=0.2),
    "sgdw": OptimizerConfig(name="sgdw", learning_rate=0.1, weight_decay=0.2),
    "lamb": OptimizerConfig(name="lamb", learning_rate=0.1, weight_decay=0.2),
    "clipped lamb": OptimizerConfig(name="lamb", learning_rate=0.1, clip_norm=0.5),
    "clipped sgd": OptimizerConfig(name="sgd", learning_rate=0.1, clip_norm=0.5),
    "clipped adam": OptimizerConfig(name="adam", learning_rate=0.1, clip_norm=0.5),
    "scheduled": OptimizerConfig(name="adam", schedule="cosine", decay_steps=4, warmup_steps=2, clip_norm=1.0),
}


def _values(seed):
    stream = np.random.default_rng(seed)
    return [stream.normal(size=shape).astype(np.float32) for shape in SHAPES]


def _variables(seed=0):
    return [tf.Variable(value) for value in _values(seed)]


def _update(variables, config, average=0.0):
    optimizer = make_optimizer(config)
    return FlatUpdate(variables, optimizer, average, layerwise=config.name in LAYERWISE), optimizer


def _train(update, steps):
    for step in steps:
        update.apply(update.flatten([tf.constant(value) for value in _values(100 + step)]))


def _assert_close(variables, expected):
    for variable, wanted in zip(variables, expected):
        np.testing.assert_allclose(variable.numpy(), np.asarray(wanted), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_it_equals_the_optimisers_update_of_separate_variables(config):
    together, apart = _variables(), _variables()
    (update, _), optimizer = _update(together, config), make_optimizer(config)
    for step in range(6):
        _train(update, [step])
        optimizer.apply_gradients(zip(map(tf.constant, _values(100 + step)), apart))
        _assert_close(together, [variable.numpy() for variable in apart])
    assert np.abs(together[0] - _values(0)[0]).max() > 1e-3  # something moved


@pytest.mark.parametrize("strategy", [None, "mirrored"])
@pytest.mark.parametrize("name", ["sgd", "sgdw", "adam", "nadam", "adamw", "clipped adam", "scheduled", "lamb"])
def test_a_compiled_update_computes_the_same(name, strategy):
    scope = tf.distribute.MirroredStrategy(["CPU:0"]).scope if strategy else contextlib.nullcontext
    found = []
    for compile in (False, True):
        with scope():
            variables = _variables()
        optimizer = make_optimizer(CONFIGS[name])  # outside, as where a process has one device
        update = FlatUpdate(variables, optimizer, average=0.9, layerwise=name in LAYERWISE, compile=compile)
        apply = tf.function(update.apply)
        for step in range(6):
            apply(update.flatten([tf.constant(value) for value in _values(100 + step)]))
        with update.averaged():
            averages = [variable.numpy() for variable in variables]
        state = optimizer_arrays(optimizer).values()
        found.append([*averages, *(variable.numpy() for variable in variables), *state])
    for compiled, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, wanted, rtol=1e-5, atol=1e-6)
    assert np.abs(found[1][0] - _values(0)[0]).max() > 1e-3  # something moved


@pytest.mark.parametrize("name", ["clipped adam", "clipped lamb"])
@pytest.mark.parametrize("compile", [False, True])
def test_what_stands_behind_the_gradient_is_not_read(name, compile):
    found, behind = [], [np.nan, np.inf, 1e9]
    for more in ([], behind):
        variables, layerwise = _variables(), CONFIGS[name].name in LAYERWISE
        update = FlatUpdate(
            variables, make_optimizer(CONFIGS[name]), layerwise=layerwise, loss_scale=LossScale(), compile=compile
        )
        gradient = update.flatten([tf.constant(value) for value in _values(100)])
        update.apply(tf.concat([gradient, tf.constant(more, tf.float32)], 0))
        found.append([variable.numpy() for variable in variables])
    _assert_close(map(tf.constant, found[1]), found[0])
    assert np.abs(found[1][0] - _values(0)[0]).max() > 1e-3


def test_a_compiled_update_skips_a_gradient_that_is_not_finite():
    variables = _variables()
    update = FlatUpdate(variables, make_optimizer(CONFIGS["adam"]), loss_scale=LossScale(), compile=True)
    _train(update, [0])
    before = [variable.numpy() for variable in variables]
    update.apply(tf.fill(update.vector.shape, np.inf))
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    _train(update, [1])
    assert np.abs(variables[0].numpy() - before[0]).max() > 1e-3


def test_vector_and_variables_hold_the_same_after_an_update():
    variables = _variables()
    update = FlatUpdate(variables, make_optimizer(CONFIGS["adam"]))
    _train(update, range(3))
    np.testing.assert_array_equal(update.vector.numpy(), np.concatenate([each.numpy().ravel() for each in variables]))


def test_a_layerwise_optimiser_sees_each_variable():
    _, optimizer = _update(_variables(), CONFIGS["lamb"])
    sizes = sorted(int(np.prod(shape)) for shape in SHAPES)
    assert sorted(array.size for array in optimizer_arrays(optimizer).values())[-6:] == sorted(2 * sizes)[-6:]


def test_the_optimiser_sees_one_variable_whatever_the_model_has():
    optimizer = make_optimizer(CONFIGS["adam"])
    FlatUpdate(_variables(), optimizer)
    size = sum(int(np.prod(shape)) for shape in SHAPES)
    assert sorted(array.size for array in optimizer_arrays(optimizer).values())[-2:] == [size, size]


def test_variables_that_were_restored_are_gathered():
    variables = _variables()
    update = FlatUpdate(variables, make_optimizer(CONFIGS["sgd"]))
    for variable, value in zip(variables, _values(7)):
        variable.assign(value)
    update.gather()
    _train(update, [0])
    _assert_close(variables, [value - 0.1 * gradient for value, gradient in zip(_values(7), _values(100))])


@pytest.mark.parametrize("name", ["adam", "nadam", "clipped sgd", "sgdw", "lamb", "scheduled"])
def test_a_restored_update_goes_on_bit_for_bit(name):
    whole = _variables()
    update, optimizer = _update(whole, CONFIGS[name])
    _train(update, range(3))
    saved, state = [variable.numpy() for variable in whole], optimizer_arrays(optimizer)
    _train(update, range(3, 6))

    restored = _variables(seed=9)
    update, optimizer = _update(restored, CONFIGS[name])
    for variable, value in zip(restored, saved):
        variable.assign(value)
    restore_optimizer(optimizer, state)
    update.gather()
    _train(update, range(3, 6))
    for variable, wanted in zip(restored, whole):
        np.testing.assert_array_equal(variable.numpy(), wanted.numpy())


# --- the average ------------------------------------------------------------------------------------------------------


def test_the_average_forgets_the_initial_values_and_then_decays_at_its_rate():
    variables = _variables()
    update = FlatUpdate(variables, make_optimizer(CONFIGS["sgd"]), average=0.6)
    expected, decays = update.vector.numpy(), [min(0.6, done / (done + 9)) for done in range(1, 25)]
    assert decays[0] == 0.1 and decays[-1] == 0.6
    for step, decay in enumerate(decays):
        _train(update, [step])
        expected = decay * expected + (1 - decay) * update.vector.numpy()
    with update.averaged():
        np.testing.assert_allclose(np.concatenate([each.numpy().ravel() for each in variables]), expected, atol=1e-5)


def test_training_goes_on_from_the_variables_and_not_from_their_average():
    plain, averaged = _variables(), _variables()
    one = FlatUpdate(plain, make_optimizer(CONFIGS["adam"]))
    other = FlatUpdate(averaged, make_optimizer(CONFIGS["adam"]), average=0.9)
    for step in range(4):
        _train(one, [step])
        with other.averaged():
            assert step == 0 or np.abs(averaged[0].numpy() - plain[0].numpy()).max() > 1e-3
        _train(other, [step])
    for ours, theirs in zip(averaged, plain):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_without_an_average_nothing_is_added_to_a_checkpoint_and_nothing_changes():
    variables = _variables()
    update = FlatUpdate(variables, make_optimizer(CONFIGS["sgd"]))
    before = [each.numpy() for each in variables]
    with update.averaged():
        _assert_close(variables, before)
    assert update.state() == {}


@pytest.mark.parametrize("name", ["adam", "nadam", "lamb"])
def test_a_restored_average_goes_on_bit_for_bit(name):
    whole = _variables()
    update, optimizer = _update(whole, CONFIGS[name], average=0.9)
    _train(update, range(3))
    with update.averaged():
        saved = [variable.numpy() for variable in whole]
    state, more = optimizer_arrays(optimizer), update.state()
    _train(update, range(3, 6))

    restored = _variables(seed=9)
    again, optimizer = _update(restored, CONFIGS[name], average=0.9)
    for variable, value in zip(restored, saved):
        variable.assign(value)
    restore_optimizer(optimizer, state)
    again.restore(more)
    _train(again, range(3, 6))
    for ours, theirs in zip(restored, whole):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with update.averaged(), again.averaged():
        for ours, theirs in zip(restored, whole):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
