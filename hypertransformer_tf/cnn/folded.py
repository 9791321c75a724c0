"""The same layer as in `cnn/plain.py`, in a form that suits few channels on a CPU.

A 3x3 SAME convolution and the 2x2 max-pool after it are one 4x4 convolution of stride 2 with four kernels per
output channel (the 3x3 kernel shifted by 0 or 1 in y and x), followed by the maximum over the four. On the
space-to-depth view of the padded input that is a 2x2 VALID convolution from 4 c_in to 4 c_out channels, which is
written as one matrix product per episode. Pooling costs nothing and has no gradient of its own; the activation
comes after the maximum, which is the same for an increasing function and four times less work. An odd last row
and column, which the pool drops, are not computed.
"""

from typing import Callable, Optional, Tuple

import tensorflow as tf

from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.plain import Activation


def applies_to(spec: ConvolutionSpec) -> bool:
    """Whether the layer is the paper's: 3x3, stride 1, SAME, then a 2x2 max-pool."""
    return (spec.kernel_size, spec.stride, spec.padding, spec.pool) == (3, 1, "SAME", 2)


def convolve_activate_pool(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: Optional[tf.Tensor], spec: ConvolutionSpec, activation: Activation
) -> tf.Tensor:
    """As `plain.convolve_activate_pool`, for layers that `applies_to` accepts and an increasing activation."""
    height, width, c_out = spec.output_shape
    shape = tf.shape(inputs)
    episodes, samples = inputs.shape[0] or shape[0], inputs.shape[1] or shape[1]
    patches = tf.reshape(_patches(inputs, spec), (episodes, samples * height * width, 16 * spec.input_shape[-1]))
    outputs = _product(patches, _folded_kernel(kernel, spec))  # (T, N * H' * W', 4 * c_out)
    outputs = _maximum_of_four(tf.reshape(outputs, (episodes, samples, height, width, 4, c_out)))
    if bias is not None:
        outputs += bias[:, tf.newaxis, tf.newaxis, tf.newaxis, :]
    return activation(outputs)


def _patches(inputs: tf.Tensor, spec: ConvolutionSpec) -> tf.Tensor:
    """The 4x4 inputs of every pooled output: (T, N, H', W', 16 * c_in)."""
    (rows, columns, channels), (height, width, _) = spec.input_shape, spec.output_shape
    shape = tf.shape(inputs)
    flat = tf.reshape(inputs, (-1, rows, columns, channels))
    padded = tf.pad(flat, ((0, 0), (1, 1 - rows % 2), (1, 1 - columns % 2), (0, 0)))
    deep = tf.reshape(padded, (-1, height + 1, 2, width + 1, 2, channels))
    deep = tf.reshape(tf.transpose(deep, (0, 1, 3, 2, 4, 5)), (-1, height + 1, width + 1, 4 * channels))
    corners = [deep[:, y : y + height, x : x + width] for y in (0, 1) for x in (0, 1)]
    return tf.reshape(tf.concat(corners, -1), (shape[0], shape[1], height, width, 16 * channels))


def _product(patches: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Patches (T, R, 16 * c_in) times a kernel (T, 4, c_out, 2, 2, 2, 2, c_in): (T, R, 4 * c_out).

    The kernel's gradient is a product of the patches and the outputs' gradient. It takes less time with the narrower of
    these on the left (BUILD_NOTES.md, "Speed"): the patches stand there where the kernel lies as (inputs, outputs), the
    outputs' gradient where it is transposed.
    """
    inputs, outputs = patches.shape[-1], kernel.shape[1] * kernel.shape[2]
    if inputs < outputs:
        kernel = tf.transpose(kernel, (0, 3, 4, 5, 6, 7, 1, 2))
        return tf.matmul(patches, tf.reshape(kernel, (-1, inputs, outputs)))
    return tf.matmul(patches, tf.reshape(kernel, (-1, outputs, inputs)), transpose_b=True)


def _folded_kernel(kernel: tf.Tensor, spec: ConvolutionSpec) -> tf.Tensor:
    """Four shifted copies of each 3x3 kernel: (T, 4, c_out, 2, 2, 2, 2, c_in), from 2 on in the order of `_patches`."""
    _, _, c_in, c_out = spec.kernel_shape
    shifted = [tf.pad(kernel, ((0, 0), (y, 1 - y), (x, 1 - x), (0, 0), (0, 0))) for y in (0, 1) for x in (0, 1)]
    folded = tf.reshape(tf.stack(shifted, 1), (-1, 4, 2, 2, 2, 2, c_in, c_out))  # (T, 4, Y, y, X, x, c_in, c_out)
    return tf.transpose(folded, (0, 1, 7, 2, 4, 3, 5, 6))


@tf.custom_gradient
def _maximum_of_four(values: tf.Tensor) -> Tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Maximum over the axis of four; its gradient is shared equally among ties.

    Ties are common (constant background), and the stock gradient of `reduce_max` is slower and does the same.
    """
    largest = tf.reduce_max(values, axis=-2, keepdims=True)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        winners = tf.cast(tf.equal(values, largest), values.dtype)
        share = upstream[..., tf.newaxis, :] / tf.reduce_sum(winners, axis=-2, keepdims=True)
        return winners * share

    return tf.squeeze(largest, -2), gradient
