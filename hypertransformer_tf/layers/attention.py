"""Multi-head attention as the weight generator uses it (paper, Section 3)."""

import math
from typing import Any, Dict, Optional

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.layers.token_dense import TokenDense

MASKED = 1e8


class MultiHeadAttention(keras.layers.Layer):
    """Attention with sizes of its own for queries and keys, for values and for the output.

    Logits are divided by the square root of the per-head key size. `sigmoid` attention does not compete: every key
    is weighed for itself.

    Args:
      heads: number of heads; divides both sizes.
      query_key_size: size of queries and keys, over all heads.
      value_size: size of values, over all heads.
      output_size: size of an output token.
      activation: `softmax` or `sigmoid`.

    Call: queries (T, N, D), keys (T, M, E), key_mask (T, M) float, 1 = this key is ignored -> (T, N, output_size).
    """

    def __init__(
        self,
        heads: int,
        query_key_size: int,
        value_size: int,
        output_size: int,
        activation: str = "softmax",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.heads, self.query_key_size, self.value_size = heads, query_key_size, value_size
        self.output_size, self.activation = output_size, activation
        self.query = TokenDense(query_key_size, name="query", dtype=self.dtype_policy)
        self.key = TokenDense(query_key_size, name="key", dtype=self.dtype_policy)
        self.value = TokenDense(value_size, name="value", dtype=self.dtype_policy)
        self.output_projection = TokenDense(output_size, name="output", dtype=self.dtype_policy)

    @build_once
    def build(self, query_shape: Any, key_shape: Any = None) -> None:
        key_shape = query_shape if key_shape is None else key_shape
        self.query.build(query_shape)
        self.key.build(key_shape)
        self.value.build(key_shape)
        self.output_projection.build((None, None, self.value_size))

    def call(self, queries: tf.Tensor, keys: tf.Tensor, key_mask: Optional[tf.Tensor] = None) -> tf.Tensor:
        query = self._split(self.query(queries))
        key = self._split(self.key(keys))
        value = self._split(self.value(keys))
        weights = tf.cast(self._weigh(query, key, key_mask), value.dtype)
        mixed = tf.matmul(weights, value)  # (T, heads, N, value_size / heads)
        mixed = tf.transpose(mixed, (0, 2, 1, 3))
        return self.output_projection(tf.reshape(mixed, tf.concat((tf.shape(queries)[:2], [self.value_size]), 0)))

    def attention_weights(self, queries: tf.Tensor, keys: tf.Tensor, key_mask: Optional[tf.Tensor] = None) -> tf.Tensor:
        """How much each query takes from each key: (T, heads, N, M) float32."""
        return self._weigh(self._split(self.query(queries)), self._split(self.key(keys)), key_mask)

    def _split(self, tokens: tf.Tensor) -> tf.Tensor:
        """(T, N, heads * d) -> (T, heads, N, d)."""
        shape = tf.shape(tokens)
        size = tokens.shape[-1] // self.heads
        return tf.transpose(tf.reshape(tokens, (shape[0], shape[1], self.heads, size)), (0, 2, 1, 3))

    def _weigh(self, query: tf.Tensor, key: tf.Tensor, key_mask: Optional[tf.Tensor]) -> tf.Tensor:
        logits = at_least_float32(tf.matmul(query, key, transpose_b=True))
        logits /= math.sqrt(self.query_key_size // self.heads)
        if key_mask is not None:
            logits -= MASKED * tf.cast(key_mask, logits.dtype)[:, tf.newaxis, tf.newaxis, :]
        return tf.nn.softmax(logits) if self.activation == "softmax" else tf.sigmoid(logits)

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(
            heads=self.heads,
            query_key_size=self.query_key_size,
            value_size=self.value_size,
            output_size=self.output_size,
            activation=self.activation,
        )
        return config
