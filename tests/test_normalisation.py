"""Normalisation of the generated CNN: statistics of the batch that goes through, each episode by itself."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf

from hypertransformer_tf.cnn.normalisation import Statistics, batch_moments, moments_for, normalise
from hypertransformer_tf.cnn.sums import sum_of_products_over_episode, sum_over_episode

STREAM = np.random.default_rng(0)
ACTIVATIONS = (STREAM.normal(size=(3, 4, 5, 5, 2)) * 3.0 + 1.0).astype(np.float32)
GAMMA = STREAM.normal(size=(3, 2)).astype(np.float32)
BETA = STREAM.normal(size=(3, 2)).astype(np.float32)


def test_moments_are_over_samples_and_space_of_each_episode_and_channel():
    moments = batch_moments(ACTIVATIONS)
    assert tuple(moments.mean.shape) == tuple(moments.variance.shape) == (3, 1, 1, 1, 2)
    for episode in range(3):
        for channel in range(2):
            values = ACTIVATIONS[episode, ..., channel].astype(np.float64)
            np.testing.assert_allclose(moments.mean[episode, 0, 0, 0, channel], values.mean(), rtol=1e-5)
            np.testing.assert_allclose(moments.variance[episode, 0, 0, 0, channel], values.var(), rtol=1e-5)


def test_where_every_sample_is_masked_the_result_is_finite():
    mask = np.zeros(ACTIVATIONS.shape[:2], np.float32)
    mask[1] = 1.0
    moments = batch_moments(ACTIVATIONS, mask)
    assert np.isfinite(normalise(ACTIVATIONS, moments, GAMMA, BETA)).all()
    np.testing.assert_allclose(moments.mean[0], batch_moments(ACTIVATIONS).mean[0], rtol=1e-5)


def test_values_are_those_of_the_reference():
    outputs = normalise(ACTIVATIONS, batch_moments(ACTIVATIONS), GAMMA, BETA)
    expected = [reference.normalise(*episode) for episode in zip(ACTIVATIONS.astype(np.float64), GAMMA, BETA)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_gamma_and_beta_can_be_shared_by_all_episodes():
    moments = batch_moments(ACTIVATIONS)
    shared = normalise(ACTIVATIONS, moments, GAMMA[:1], BETA[:1])
    repeated = normalise(ACTIVATIONS, moments, GAMMA[[0, 0, 0]], BETA[[0, 0, 0]])
    np.testing.assert_array_equal(shared, repeated)


def test_epsilon_keeps_a_constant_map_finite():
    constant = np.full((1, 2, 1, 1, 2), 5.0, np.float32)
    outputs = normalise(constant, batch_moments(constant), GAMMA[:1], BETA[:1])
    np.testing.assert_allclose(outputs, np.broadcast_to(BETA[0], (1, 2, 1, 1, 2)), atol=1e-4)


def test_epsilon_is_a_thousandth():
    values = np.array([-1e-2, 1e-2], np.float32).reshape(1, 2, 1, 1, 1)
    outputs = normalise(values, batch_moments(values), np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    np.testing.assert_allclose(np.ravel(outputs)[1], 1e-2 / np.sqrt(1e-4 + 1e-3), rtol=1e-5)


def _gradients(function, values, gamma, beta):
    """Of first order, then those of their length."""
    with tf.GradientTape() as outer:
        outer.watch((values, gamma, beta))
        with tf.GradientTape() as inner:
            inner.watch((values, gamma, beta))
            loss = tf.reduce_sum(tf.sin(function(values, gamma, beta)))
        first = inner.gradient(loss, (values, gamma, beta))
        length = tf.add_n([tf.reduce_sum(tf.square(each)) for each in first])
    return [*first, *outer.gradient(length, (values, gamma, beta))]


def _stock_moments(values, counts):
    """Mean and variance over samples and space, of samples that count 1 or 0 (T, N)."""
    # Not tf.nn.moments, whose second derivative takes the mean in the variance for a constant.
    weights = counts / np.sum(counts, axis=1, keepdims=True) / np.prod(values.shape[2:4])
    weights = tf.constant(weights[:, :, None, None, None], values.dtype)
    mean = tf.reduce_sum(weights * values, (1, 2, 3), keepdims=True)
    return mean, tf.reduce_sum(weights * tf.square(values - mean), (1, 2, 3), keepdims=True)


MASK = np.array([[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]], np.float64)
PART = np.array([[0, 1, 1, 0]] * 3, np.float64)
SHARE = np.array([0.0, 0.3, 1.0])
SUPPORT = Statistics(*np.abs(STREAM.normal(size=(2, 3, 2))), SHARE)


def _blend(values, _counts):
    """Of each sample's own moments and the support set's: those of a mixture with these shares."""
    own = tf.reduce_mean(values, (2, 3), keepdims=True)
    squares = tf.reduce_mean(tf.square(values), (2, 3), keepdims=True)
    share, mean, variance = (each.reshape(3, 1, 1, 1, -1) for each in (SHARE, SUPPORT.mean, SUPPORT.variance))
    mixed = (1 - share) * mean + share * own
    return mixed, (1 - share) * (variance + mean**2) + share * squares - tf.square(mixed)


MOMENTS = {
    "of the batch": (batch_moments, _stock_moments, np.ones((3, 4))),
    "of a part of it": (lambda values: batch_moments(values[:, 1:3]), _stock_moments, PART),
    "of what is not masked": (lambda values: batch_moments(values, MASK), _stock_moments, 1 - MASK),
    "blended": (lambda values: moments_for(values, SUPPORT), _blend, None),
}


@pytest.mark.parametrize("shared", [False, True], ids=["an episode's", "shared"])
@pytest.mark.parametrize("moments", MOMENTS)
def test_gradients_of_first_and_second_order_are_those_of_stock_operations(moments, shared):
    our_moments, stock_moments, counts = MOMENTS[moments]
    values, gamma, beta = (tf.constant(each, tf.float64) for each in (ACTIVATIONS, GAMMA, BETA))
    if shared:
        gamma, beta = gamma[:1], beta[:1]

    def ours(values, gamma, beta):
        return normalise(values, our_moments(values), gamma, beta)

    def stock(values, gamma, beta):
        mean, variance = stock_moments(values, counts)
        gamma, beta = gamma[:, None, None, None], beta[:, None, None, None]
        return tf.nn.batch_normalization(values, mean, variance, beta, gamma, 1e-3)

    expected = _gradients(stock, values, gamma, beta)
    any_size = [tf.TensorSpec((None, None, 5, 5, 2), tf.float64), *2 * [tf.TensorSpec((None, 2), tf.float64)]]
    graph = tf.function(lambda *inputs: _gradients(ours, *inputs), input_signature=any_size)
    compiled = tf.function(lambda *inputs: _gradients(ours, *inputs), jit_compile=True)
    for found in (_gradients(ours, values, gamma, beta), graph(values, gamma, beta), compiled(values, gamma, beta)):
        for each, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(each, wanted, rtol=1e-9, atol=1e-9)


def test_gradients_of_bfloat16_activations_are_those_of_float32_rounded():
    lower, gamma, beta = tf.cast(ACTIVATIONS, tf.bfloat16), tf.constant(GAMMA), tf.constant(BETA)
    upstream = STREAM.normal(size=ACTIVATIONS.shape).astype(np.float32)
    gradients = []
    for values in (lower, tf.cast(lower, tf.float32)):
        with tf.GradientTape() as tape:
            tape.watch((values, gamma, beta))
            outputs = normalise(values, batch_moments(values), gamma, beta)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * upstream)
        gradients.append(tape.gradient(loss, (values, gamma, beta)))
    for found, expected in zip(*gradients, strict=True):
        assert found.dtype == (tf.bfloat16 if found.shape == lower.shape else tf.float32)
        np.testing.assert_allclose(tf.cast(found, tf.float32), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 60, 14, 14, 8), (1, 25, 84, 84, 8)])
def test_moments_of_large_maps_keep_their_digits_when_compiled(shape):
    """Half of the values are 0, as after a ReLU: equal terms in one long float32 sum round the same way each time."""
    values = np.maximum(STREAM.normal(size=shape), 0).astype(np.float32)
    moments = tf.function(batch_moments, jit_compile=True)(values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(np.ravel(moments.mean), exact.mean((0, 1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(moments.variance), exact.var((0, 1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 60, 14, 14, 8), (2, 3, 4, 5, 6), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_a_sum_over_an_episode_is_that_over_samples_and_space(device, shape, monkeypatch):
    values = STREAM.uniform(size=shape).astype(np.float32)
    devices = [tf.config.LogicalDevice(name=f"/device:{device}:0", device_type=device)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    expected = values.astype(np.float64).sum((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(sum_over_episode(values), expected, rtol=1e-5)


def _maps(kind, samples, side, channels):
    """Two maps: of equal values and of two, which round the same way each time in one long sum; or random ones."""
    shape = (2, samples, side, side, channels)
    if kind == "random":
        return tf.constant(STREAM.normal(size=(2, *shape)), tf.float32)
    two_values = np.where(STREAM.uniform(size=shape) < 0.1, 0.7, 0.1)
    return tf.constant([np.full(shape, 0.1), two_values], tf.float32)


@pytest.mark.parametrize("kind, samples, side", [("random", 3, 5), ("constant", 60, 14)])
@pytest.mark.parametrize("channels", [1, 3, 4, 8])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_sum_of_products_over_an_episode_keeps_its_digits(kind, samples, side, channels, compiled):
    left, right = _maps(kind, samples, side, channels)
    form = tf.function(sum_of_products_over_episode, jit_compile=True) if compiled else sum_of_products_over_episode
    products = np.multiply(left, right, dtype=np.float64)
    error = np.abs(form(left, right) - products.sum((1, 2, 3), keepdims=True))
    assert np.all(error <= 1e-4 * np.abs(products).sum((1, 2, 3), keepdims=True))


@pytest.mark.parametrize("device, channels, in_blocks", [("CPU", 8, True), ("CPU", 3, False), ("GPU", 8, False)])
def test_a_sum_of_products_is_a_product_on_a_cpu_with_enough_channels(device, channels, in_blocks, monkeypatch):
    devices = [tf.config.LogicalDevice(name=f"/device:{device}:0", device_type=device)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    graph = tf.function(sum_of_products_over_episode).get_concrete_function(*_maps("random", 2, 3, channels)).graph
    outputs = [tuple(each.outputs[0].shape[-2:]) for each in graph.get_operations() if "MatMul" in each.type]
    assert ((channels, channels) in outputs) == in_blocks
