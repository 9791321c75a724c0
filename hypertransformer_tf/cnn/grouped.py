"""The same layer as in `cnn/plain.py`, all episodes' kernels in one grouped convolution, for accelerators.

The episodes lie side by side in the channels, and each group of channels meets the kernel of its own episode. On a CPU
TensorFlow has no gradient for it; XLA has, on every device.
"""

from typing import Optional

import tensorflow as tf

from hypertransformer_tf.cnn import plain
from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.plain import Activation


def convolve_activate_pool(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: Optional[tf.Tensor], spec: ConvolutionSpec, activation: Activation
) -> tf.Tensor:
    """Runs one layer of each episode's CNN, up to its normalisation.

    Args:
      inputs: (T, N, H, W, c_in).
      kernel: (T, k, k, c_in, c_out), or (1, ...) for a kernel that all episodes share; of the inputs' floating dtype.
        Where T is not known when a graph is made, the plain form is used: the number of groups has to be known.
      bias: (T or 1, c_out) or None.
      spec: the layer.
      activation: applied after the bias, before the pooling.

    Returns:
      (T, N, H', W', c_out), of the inputs' dtype.
    """
    if kernel.shape[0] in (1, None):
        return plain.convolve_activate_pool(inputs, kernel, bias, spec, activation)
    return plain.activate_pool(_convolve(inputs, kernel, spec), bias, spec, activation)


def _convolve(inputs: tf.Tensor, kernel: tf.Tensor, spec: ConvolutionSpec) -> tf.Tensor:
    episodes, (rows, columns, c_in), size = kernel.shape[0], spec.input_shape, spec.kernel_size
    c_out = spec.kernel_shape[-1]
    together = tf.reshape(tf.transpose(inputs, (1, 2, 3, 0, 4)), (-1, rows, columns, episodes * c_in))
    kernels = tf.reshape(tf.transpose(kernel, (1, 2, 3, 0, 4)), (size, size, c_in, episodes * c_out))
    outputs = tf.nn.conv2d(together, kernels, spec.stride, spec.padding)  # (N, H', W', T * c_out)
    apart = tf.reshape(outputs, (-1, outputs.shape[1], outputs.shape[2], episodes, c_out))
    return tf.transpose(apart, (3, 0, 1, 2, 4))
