"""What is computed in float32 whatever the precision of the rest: means, moments, softmax and losses."""

import tensorflow as tf


def at_least_float32(values: tf.Tensor) -> tf.Tensor:
    """float16 and bfloat16 as float32, everything else as it is."""
    values = tf.convert_to_tensor(values)
    return tf.cast(values, tf.float32) if values.dtype in (tf.float16, tf.bfloat16) else values


def mean_over_space(activations: tf.Tensor) -> tf.Tensor:
    """Mean of activations (..., H, W, C) over H and W: (..., C) of their dtype, summed up in float32."""
    return tf.cast(tf.reduce_mean(at_least_float32(activations), axis=(-3, -2)), activations.dtype)
