"""From weight blocks to the weights of one CNN layer (paper, Section 3).

A block is what the transformer wrote at one weight token, without the token's embedding. Where sample tokens are the
longer ones, blocks are wider than the layer needs; the entries beyond its size are not read.
"""

from typing import NamedTuple, Optional, Union

import tensorflow as tf

from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.config import GeneratorConfig
from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.cnn.weights import LogitsWeights

ABSENT = -1e9  # logit of a class that the episode does not have


class ConvolutionReadout(NamedTuple):
    """Generated tensors of a convolution; None where a tensor is not generated. Shapes as in `ConvolutionWeights`."""

    kernel: tf.Tensor
    bias: Optional[tf.Tensor]
    gamma: Optional[tf.Tensor]
    beta: Optional[tf.Tensor]


def read_convolution(blocks: tf.Tensor, spec: ConvolutionSpec, config: GeneratorConfig) -> ConvolutionReadout:
    """Cuts blocks (T, tokens, width) into the tensors of a convolution."""
    if config.allocation == "spatial":
        # Token p holds the (c_in, c_out) slice of kernel position p.
        size = spec.kernel_shape[2] * spec.kernel_shape[3]
        return ConvolutionReadout(tf.reshape(blocks[:, :, :size], (-1,) + spec.kernel_shape), None, None, None)
    size = spec.kernel_size**2 * spec.kernel_shape[2]
    kernel = tf.transpose(blocks[:, :, :size], (0, 2, 1))  # (T, k * k * c_in, c_out)
    kernel = tf.reshape(kernel, (-1,) + spec.kernel_shape)
    bias = gamma = beta = None
    if config.bias:
        bias, size = blocks[:, :, size], size + 1
    if config.batch_norm:
        gamma, beta = blocks[:, :, size], blocks[:, :, size + 1]
    return ConvolutionReadout(kernel, bias, gamma, beta)


def read_logits(blocks: tf.Tensor, input_size: int) -> LogitsWeights:
    """Cuts blocks (T, n_way, width) into kernel (T, d, n_way) and bias (T, n_way), with d the input size."""
    return LogitsWeights(tf.transpose(blocks[:, :, :input_size], (0, 2, 1)), blocks[:, :, input_size])


def exclude_absent(logits: LogitsWeights, classes: Optional[Union[int, tf.Tensor]]) -> LogitsWeights:
    """Gives the classes from `classes` on, an int32 tensor () or (T,), a bias so low that they are never chosen."""
    if classes is None or isinstance(classes, int):
        return logits
    absent = tf.range(tf.shape(logits.bias)[1])[tf.newaxis] >= tf.reshape(classes, (-1, 1))
    kernel = tf.where(absent[:, tf.newaxis], tf.zeros((), logits.kernel.dtype), logits.kernel)
    return LogitsWeights(kernel, tf.where(absent, ABSENT, at_least_float32(logits.bias)))
