"""Convolution, activation and max-pool in TensorFlow's stock operations: the reference form.

`cnn/folded.py` computes the same faster where it can, `cnn/grouped.py` in one operation for all episodes; tests hold
them against this file.
"""

from typing import Callable, Optional

import tensorflow as tf

from hypertransformer_tf.cnn.architecture import ConvolutionSpec

Activation = Callable[[tf.Tensor], tf.Tensor]


def convolve_activate_pool(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: Optional[tf.Tensor], spec: ConvolutionSpec, activation: Activation
) -> tf.Tensor:
    """Runs one layer of each episode's CNN, up to its normalisation.

    Args:
      inputs: (T, N, H, W, c_in).
      kernel: (T, k, k, c_in, c_out), or (1, ...) for a kernel that all episodes share.
      bias: (T or 1, c_out) or None.
      spec: the layer.
      activation: applied after the bias, before the pooling.

    Returns:
      (T, N, H', W', c_out).
    """
    if kernel.shape[0] == 1:
        outputs = _one_kernel(inputs, kernel[0], spec)
    else:
        # TensorFlow has no gradient for grouped convolutions on CPU, hence one convolution per episode.
        outputs = tf.map_fn(
            lambda episode: tf.nn.conv2d(episode[0], episode[1], spec.stride, spec.padding),
            (inputs, kernel),
            fn_output_signature=inputs.dtype,
        )
    return activate_pool(outputs, bias, spec, activation)


def activate_pool(
    outputs: tf.Tensor, bias: Optional[tf.Tensor], spec: ConvolutionSpec, activation: Activation
) -> tf.Tensor:
    """What follows the convolution, whose outputs are (T, N, H, W, c_out): arguments of `convolve_activate_pool`."""
    if bias is not None:
        outputs += bias[:, tf.newaxis, tf.newaxis, tf.newaxis, :]
    outputs = activation(outputs)
    if spec.pool == 1:
        return outputs
    flat = tf.reshape(outputs, tf.concat(([-1], tf.shape(outputs)[2:]), 0))
    return _unflatten(tf.nn.max_pool2d(flat, spec.pool, spec.pool, "VALID"), outputs, spec)


def _one_kernel(inputs: tf.Tensor, kernel: tf.Tensor, spec: ConvolutionSpec) -> tf.Tensor:
    flat = tf.reshape(inputs, (-1,) + spec.input_shape)
    outputs = tf.nn.conv2d(flat, kernel, spec.stride, spec.padding)
    shape = tf.shape(inputs)
    return tf.reshape(outputs, (shape[0], shape[1]) + tuple(outputs.shape[1:]))


def _unflatten(flat: tf.Tensor, like: tf.Tensor, spec: ConvolutionSpec) -> tf.Tensor:
    shape = tf.shape(like)
    return tf.reshape(flat, (shape[0], shape[1]) + spec.output_shape)
