"""Sums of activations over an episode, which normalisation and its gradient consist of."""

from typing import Callable, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.cpu_alone import cpu_alone

_BLOCKED = 4  # channels, from which on TensorFlow and XLA multiply in blocks, whose sums they add up


@tf.custom_gradient
def sum_over_episode(values: tf.Tensor) -> Tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Sum of (T, N, H, W, C) over N, H and W: (T, 1, 1, 1, C), of the same floating dtype.

    Where there is but a CPU samples are added first, and a product with ones adds up the map that is left: with few
    channels that takes less time than XLA's reduction (BUILD_NOTES.md, "Speed"). A product over all at once would be
    one long sum for each channel, which loses digits. Accelerators may round what enters a product.
    """
    if not cpu_alone():
        total = tf.reduce_sum(values, axis=(1, 2, 3), keepdims=True)
    else:
        episodes, channels = tf.shape(values)[0], values.shape[-1]
        rows = tf.reshape(tf.reduce_sum(values, axis=1), (episodes, -1, channels))
        total = tf.matmul(tf.ones((episodes, 1, tf.shape(rows)[1]), values.dtype), rows)
        total = tf.reshape(total, (episodes, 1, 1, 1, channels))
    return total, lambda upstream: tf.broadcast_to(upstream, tf.shape(values))


@tf.custom_gradient
def sum_of_products_over_episode(
    left: tf.Tensor, right: tf.Tensor
) -> Tuple[tf.Tensor, Callable[[tf.Tensor], Tuple[tf.Tensor, tf.Tensor]]]:
    """Sum of left * right, both (T, N, H, W, C), over N, H and W: (T, 1, 1, 1, C), of the same floating dtype.

    Where there is but a CPU it is the diagonal of a product of channels with channels: more multiplications, which with
    8 channels take less time than XLA's reduction (BUILD_NOTES.md, "Speed"). With fewer than `_BLOCKED` the product
    would add up row after row in one long sum.
    """
    episodes, channels = tf.shape(left)[0], left.shape[-1]
    if not cpu_alone() or channels < _BLOCKED:
        total = sum_over_episode(left * right)
    else:
        rows = [tf.reshape(each, (episodes, -1, channels)) for each in (left, right)]
        total = tf.linalg.diag_part(tf.matmul(*rows, transpose_a=True))
        total = tf.reshape(total, (episodes, 1, 1, 1, channels))
    return total, lambda upstream: (right * upstream, left * upstream)
