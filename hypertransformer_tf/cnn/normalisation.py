"""The normalisation of the generated CNN, and where its statistics come from.

The authors' program always uses the batch that goes through (`query`): the support set's own statistics in the
pass over the support set, the query set's in the pass over the query set. That makes the protocol transductive.
"""

from typing import NamedTuple

import tensorflow as tf

EPSILON = 1e-3


class Moments(NamedTuple):
    """Mean and variance over samples and space, one per episode and channel: (T, 1, 1, 1, C)."""

    mean: tf.Tensor
    variance: tf.Tensor


def batch_moments(activations: tf.Tensor) -> Moments:
    """Biased moments of activations (T, N, H, W, C) over N, H and W."""
    mean = tf.reduce_mean(activations, axis=(1, 2, 3), keepdims=True)
    variance = tf.reduce_mean(tf.math.square(activations - mean), axis=(1, 2, 3), keepdims=True)
    return Moments(mean, variance)


def normalise(activations: tf.Tensor, moments: Moments, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Normalises (T, N, H, W, C), then scales and shifts with gamma and beta (T or 1, C)."""
    gamma = gamma[:, tf.newaxis, tf.newaxis, tf.newaxis, :]
    beta = beta[:, tf.newaxis, tf.newaxis, tf.newaxis, :]
    scale = gamma * tf.math.rsqrt(moments.variance + EPSILON)
    return (activations - moments.mean) * scale + beta
