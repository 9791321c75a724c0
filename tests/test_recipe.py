"""Learning rates at chosen steps, and which optimiser the settings make."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf import keras_stack
from hypertransformer_tf.training.config import OPTIMIZERS, OptimizerConfig
from hypertransformer_tf.training.recipe import make_optimizer, make_schedule


def _rate(step, **settings):
    schedule = make_schedule(OptimizerConfig(**settings))
    return float(schedule(step) if callable(schedule) else schedule)


def _variable(size=4):
    return tf.Variable(np.zeros(size, np.float32))


def _moved(config, gradient):
    """How far one update moves a variable."""
    variable = _variable(len(gradient))
    make_optimizer(config).apply_gradients([(tf.constant(gradient, tf.float32), variable)])
    return -variable.numpy()


@pytest.mark.parametrize("step", [0, 1, 1_000_000])
def test_a_constant_rate_stays(step):
    assert _rate(step, learning_rate=0.02) == pytest.approx(0.02)


@pytest.mark.parametrize("step", [0, 1, 50_000, 100_000, 150_000, 4_000_000])
def test_exponential_decay_does_not_go_in_stairs(step):
    rate = _rate(step, learning_rate=0.02, schedule="exponential", decay_rate=0.95, decay_steps=100_000)
    assert rate == pytest.approx(0.02 * 0.95 ** (step / 100_000), rel=1e-4)


@pytest.mark.parametrize("step, expected", [(0, 0.4), (25, 0.341421), (50, 0.2), (75, 0.058579), (100, 0), (500, 0)])
def test_a_cosine_goes_to_zero_over_its_steps_and_stays_there(step, expected):
    rate = _rate(step, learning_rate=0.4, schedule="cosine", decay_steps=100)
    assert rate == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine"])
def test_a_warm_up_rises_by_equal_steps_to_the_full_rate(schedule):
    settings = {"learning_rate": 0.3, "schedule": schedule, "decay_steps": 1_000, "warmup_steps": 9}
    rates = [_rate(step, **settings) for step in range(10)]
    np.testing.assert_allclose(rates, 0.03 * np.arange(1, 11), rtol=1e-5)


def test_the_schedule_begins_when_the_warm_up_is_over():
    settings = {"learning_rate": 0.4, "schedule": "cosine", "decay_steps": 100}
    for step in (0, 10, 50, 100):
        assert _rate(20 + step, warmup_steps=20, **settings) == pytest.approx(_rate(step, **settings), abs=1e-7)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine"])
def test_a_rate_may_be_a_whole_number(schedule):
    optimizer = make_optimizer(OptimizerConfig(name="sgd", learning_rate=1, schedule=schedule))
    assert keras_stack.learning_rate(optimizer) == 1.0


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_survives_keras_serialisation(schedule):
    made = make_schedule(OptimizerConfig(schedule=schedule, decay_steps=100, warmup_steps=5))
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))
    for step in (0, 3, 5, 50):
        assert float(again(step)) == pytest.approx(float(made(step)))


def test_an_optimiser_follows_its_schedule():
    variable = _variable(1)
    optimizer = make_optimizer(
        OptimizerConfig(name="sgd", learning_rate=1.0, schedule="exponential", decay_rate=0.5, decay_steps=1)
    )
    positions = []
    for _ in range(4):
        optimizer.apply_gradients([(tf.constant([-1.0]), variable)])
        positions.append(float(variable[0]))
    np.testing.assert_allclose(positions, [1, 1.5, 1.75, 1.875], rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_has_the_settings_that_are_its_own(name):
    optimizer = make_optimizer(OptimizerConfig(name=name, learning_rate=0.25, beta_2=0.98, weight_decay=0.125))
    assert keras_stack.learning_rate(optimizer) == pytest.approx(0.25)
    assert float(tf.convert_to_tensor(getattr(optimizer, "beta_2", 0.98))) == pytest.approx(0.98)
    assert hasattr(optimizer, "beta_2") == (not name.startswith("sgd"))


def test_sgd_is_plain_gradient_descent():
    config = OptimizerConfig(name="sgd", learning_rate=0.5)
    variable, optimizer = _variable(2), make_optimizer(config)
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant([1.0, -2.0]), variable)])
    np.testing.assert_allclose(variable.numpy(), [-1.5, 3.0], rtol=1e-6)


@pytest.mark.parametrize(
    "clip_norm, expected",
    [(0.0, [3, 4]), (1.0, [0.6, 0.8]), (2.5, [1.5, 2]), (5.5, [3, 4])],
)
def test_gradients_of_a_larger_norm_are_scaled_down_to_it(clip_norm, expected):
    config = OptimizerConfig(name="sgd", learning_rate=1.0, clip_norm=clip_norm)
    np.testing.assert_allclose(_moved(config, [3.0, 4.0]), expected, rtol=1e-5)


def test_the_norm_is_that_of_all_variables_together():
    first, second = _variable(1), _variable(1)
    optimizer = make_optimizer(OptimizerConfig(name="sgd", learning_rate=1.0, clip_norm=1.0))
    optimizer.apply_gradients([(tf.constant([3.0]), first), (tf.constant([4.0]), second)])
    np.testing.assert_allclose([float(first[0]), float(second[0])], [-0.6, -0.8], rtol=1e-5)
