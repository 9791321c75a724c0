"""The dense layers of the transformer: the same matrix for every token."""

from typing import Any

import keras
import tensorflow as tf

from hypertransformer_tf.keras_stack import build_once


class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` for token sequences, as one product of two matrices. Call: (T, N, D) -> (T, N, units).

    Keras' own spends some thirty graph operations on the same numbers, of which a generation has a hundred: its
    graph then takes seconds longer to build.
    """

    @build_once
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)

    def call(self, tokens: tf.Tensor, *unused: Any, **also_unused: Any) -> tf.Tensor:
        rows = tf.reshape(tokens, (-1, self.kernel.shape[0]))
        outputs = tf.nn.bias_add(tf.matmul(rows, self.kernel), self.bias)
        return tf.reshape(outputs, tf.concat((tf.shape(tokens)[:-1], [self.units]), 0))
