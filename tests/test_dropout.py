"""Dropout: a pure function of its seed, with a stream of its own for every use."""

import numpy as np
import tensorflow as tf

from hypertransformer_tf.layers.dropout import Dropout, apply_dropout

VALUES = tf.ones((200, 50))
SEED = tf.constant([3, 4])


def test_a_share_of_the_values_is_zero_and_the_mean_stays():
    outputs = np.array(Dropout(SEED).apply(VALUES, 0.25))
    assert abs(np.mean(outputs == 0.0) - 0.25) < 0.02
    np.testing.assert_allclose(outputs[outputs != 0.0], 1.0 / 0.75, rtol=1e-6)


def test_the_same_seed_draws_the_same_and_another_seed_another():
    first = np.array(Dropout(SEED).apply(VALUES, 0.5))
    np.testing.assert_array_equal(Dropout(SEED).apply(VALUES, 0.5), first)
    assert np.mean(np.array(Dropout(SEED + 1).apply(VALUES, 0.5)) != first) > 0.3


def test_every_use_draws_anew():
    dropout = Dropout(SEED)
    assert np.mean(np.array(dropout.apply(VALUES, 0.5)) != np.array(dropout.apply(VALUES, 0.5))) > 0.3


def test_without_dropout_or_rate_values_stay_as_they_are():
    np.testing.assert_array_equal(apply_dropout(None, VALUES, 0.5), VALUES)
    np.testing.assert_array_equal(apply_dropout(Dropout(SEED), VALUES, 0.0), VALUES)
