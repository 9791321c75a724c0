"""Normalisation of the generated CNN: statistics of the batch that goes through, each episode by itself."""

import numpy as np
import numpy_reference as reference

from hypertransformer_tf.cnn.normalisation import batch_moments, normalise

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
