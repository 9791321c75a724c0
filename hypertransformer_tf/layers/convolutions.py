"""Convolutions of the feature extractors, in forms that take a CPU less time (BUILD_NOTES.md, "Speed")."""

from typing import List, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.cpu_alone import cpu_alone
from hypertransformer_tf.cnn.precision import at_least_float32


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """`tf.nn.conv2d` of (B, H, W, C) with (k, k, C, F): (B, H', W', F); `padding` is `SAME` or `VALID`.

    With one channel it is a product with the patches on a CPU, where XLA's convolution takes several times as long.
    """
    if inputs.shape[-1] != 1 or not cpu_alone():
        return tf.nn.conv2d(inputs, kernel, stride, padding)
    kernel = tf.convert_to_tensor(kernel)
    side, filters = kernel.shape[0], kernel.shape[-1]
    sizes = inputs.shape[1:3]
    if padding == "SAME":
        inputs = tf.pad(inputs, ((0, 0), *(_same_padding(size, side, stride) for size in sizes), (0, 0)))
    rows, columns = (_places_under_kernel(size, side, stride) for size in inputs.shape[1:3])
    patches = tf.concat([inputs[:, row, column] for row in rows for column in columns], -1)
    outputs = tf.matmul(tf.reshape(patches, (-1, side * side)), tf.reshape(kernel, (side * side, filters)))
    return tf.reshape(outputs, (-1, *patches.shape[1:3], filters))


def mean_of_convolution(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Mean over space of a VALID convolution of (B, H, W, C) with (k, k, C, F): (B, F), of the inputs' dtype.

    The convolution itself is not computed: both being linear, it is the product of the kernel with the means over what
    each of its entries meets. H and W must be known, and no smaller than the kernel.
    """
    kernel = tf.convert_to_tensor(kernel)
    side, channels, filters = kernel.shape[0], kernel.shape[-2], kernel.shape[-1]
    rows, columns = (_places_under_kernel(size, side, stride) for size in inputs.shape[1:3])
    by_row = tf.stack([tf.reduce_mean(at_least_float32(inputs[:, row]), axis=1) for row in rows], 1)
    means = tf.stack([tf.reduce_mean(by_row[:, :, column], axis=2) for column in columns], 2)  # (B, k, k, C)
    means = tf.cast(tf.reshape(means, (-1, side * side * channels)), inputs.dtype)
    return tf.matmul(means, tf.reshape(kernel, (side * side * channels, filters)))


def _places_under_kernel(size: int, side: int, stride: int) -> List[slice]:
    """Which of `size` places each of the `side` entries of a kernel meets in a VALID convolution."""
    if size < side:
        raise ValueError(f"A side of {size} is smaller than that of the kernel, {side}.")
    last = stride * ((size - side) // stride)
    return [slice(entry, entry + last + 1, stride) for entry in range(side)]


def _same_padding(size: int, side: int, stride: int) -> Tuple[int, int]:
    """TensorFlow's SAME padding, before and after."""
    total = max((-(-size // stride) - 1) * stride + side - size, 0)
    return total // 2, total - total // 2
