"""The normalisation of the generated CNN, and where its statistics come from.

The authors' program uses the batch that goes through: the support set's own moments in the pass over the support set,
the query set's in the pass over the query set. That makes its protocol transductive: a query's logits depend on the
other queries. With `Statistics` kept from the support set's pass, they do not.
"""

from typing import Callable, NamedTuple, Optional, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.cnn.sums import sum_of_products_over_episode, sum_over_episode

EPSILON = 1e-3


class Moments(NamedTuple):
    """Mean and variance of activations (T, N, H, W, C): each (T, 1, 1, 1, C), or (T, N, 1, 1, C) of each sample."""

    mean: tf.Tensor
    variance: tf.Tensor


class Statistics(NamedTuple):
    """What one layer's normalisation keeps of the support set, float32.

    Attributes:
      mean, variance: (T, C), over samples and space.
      own_share: (T,) weight from 0 to 1 of a picture's own moments in the blend; None where they are not used.
    """

    mean: tf.Tensor
    variance: tf.Tensor
    own_share: Optional[tf.Tensor]


def batch_moments(activations: tf.Tensor, mask: Optional[tf.Tensor] = None) -> Moments:
    """Biased moments (T, 1, 1, 1, C), float32, of activations (T, N, H, W, C) over N, H and W.

    Args:
      activations: the batch.
      mask: (T, N), 1 = a sample that does not count; None counts all. Where none counts the moments are 0.
    """
    activations = at_least_float32(activations)
    if mask is None:
        return Moments(*_moments(activations))
    counts = 1.0 - tf.cast(mask, activations.dtype)
    counts = tf.math.divide_no_nan(counts, tf.reduce_sum(counts, axis=1, keepdims=True))
    counts = counts[:, :, tf.newaxis, tf.newaxis, tf.newaxis]

    def mean_over_samples(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(counts * tf.reduce_mean(values, axis=(2, 3), keepdims=True), axis=1, keepdims=True)

    mean = mean_over_samples(activations)
    return Moments(mean, mean_over_samples(tf.math.square(activations - mean)))


@tf.custom_gradient
def _moments(values: tf.Tensor) -> Tuple[Tuple[tf.Tensor, tf.Tensor], Callable[..., tf.Tensor]]:
    """Mean and variance (T, 1, 1, 1, C) of (T, N, H, W, C); the gradient leaves out the sum of differences, 0."""
    count = tf.cast(tf.reduce_prod(tf.shape(values)[1:-1]), values.dtype)
    mean = sum_over_episode(values) / count
    differences = values - mean

    def gradient(of_mean: tf.Tensor, of_variance: tf.Tensor) -> tf.Tensor:
        return (of_mean + 2.0 * differences * of_variance) / count

    return (mean, sum_over_episode(tf.math.square(differences)) / count), gradient


def moments_for(activations: tf.Tensor, statistics: Optional[Statistics]) -> Moments:
    """The moments that activations (T, N, H, W, C) are normalised with.

    Without statistics, those of this very batch. With them, the support set's; and where a picture's own moments have
    a share, the moments of the mixture of both.
    """
    if statistics is None:
        return batch_moments(activations)
    support = Moments(*(_spread(each) for each in statistics[:2]))
    if statistics.own_share is None:
        return support
    activations = at_least_float32(activations)
    share = statistics.own_share[:, tf.newaxis, tf.newaxis, tf.newaxis, tf.newaxis]
    own_mean = tf.reduce_mean(activations, axis=(2, 3), keepdims=True)
    own_variance = tf.reduce_mean(tf.math.square(activations - own_mean), axis=(2, 3), keepdims=True)
    mean = support.mean + share * (own_mean - support.mean)
    variance = (1.0 - share) * support.variance + share * own_variance
    return Moments(mean, variance + share * (1.0 - share) * tf.math.square(own_mean - support.mean))


def normalise(activations: tf.Tensor, moments: Moments, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Normalises (T, N, H, W, C), then scales and shifts with gamma and beta (T or 1, C), all in float32."""
    gamma, beta = at_least_float32(gamma), at_least_float32(beta)
    scale = _spread(gamma) * tf.math.rsqrt(moments.variance + EPSILON)
    shift = tf.broadcast_to(_spread(beta), tf.shape(scale))  # its gradient comes for each episode
    one_for_all_samples = moments.mean.shape[1] == 1
    scale_and_shift = _scale_and_shift if one_for_all_samples else _scale_and_shift_samples
    return tf.cast(scale_and_shift(at_least_float32(activations), moments.mean, scale, shift), activations.dtype)


def _scale_and_shift_samples(values: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Values (T, N, H, W, C), the others (T, 1, 1, 1, C), or (T, N, 1, 1, C) where each sample has its own."""
    return (values - mean) * scale + shift


@tf.custom_gradient
def _scale_and_shift(
    values: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor
) -> Tuple[tf.Tensor, Callable[[tf.Tensor], Tuple[tf.Tensor, ...]]]:
    """`_scale_and_shift_samples` where all samples have the same (T, 1, 1, 1, C), whose gradients share two sums."""

    def gradient(upstream: tf.Tensor) -> Tuple[tf.Tensor, ...]:
        total, of_scale = sum_over_episode(upstream), sum_of_products_over_episode(upstream, values - mean)
        return upstream * scale, -scale * total, of_scale, total

    return _scale_and_shift_samples(values, mean, scale, shift), gradient


def _spread(values: tf.Tensor) -> tf.Tensor:
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis, :]
