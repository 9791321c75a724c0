"""Post-norm transformer: x = LN(x + MHA(x)), x = LN(x + FFN(x)) (paper, Section 3).

Encoder layers read one sequence; decoder layers also attend to a second one. There is no positional encoding: the
support set is a set.
"""

import dataclasses
from typing import Any, Dict, Optional

import keras
import tensorflow as tf

from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.layers.attention import MultiHeadAttention
from hypertransformer_tf.layers.dropout import Dropout, apply_dropout
from hypertransformer_tf.layers.token_dense import TokenDense
from hypertransformer_tf.layers.transformer_sizes import TransformerSizes

EPSILON = 1e-6
ACTIVATIONS = {
    "relu": tf.nn.relu,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, alpha=0.1),
    "none": lambda x: x,
}


class FeedForward(keras.layers.Layer):
    """Dense(inner, activation), then Dense(token size). Call: (T, N, D) -> (T, N, D)."""

    def __init__(self, token_size: int, inner_size: int, activation: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.token_size, self.inner_size, self.activation = token_size, inner_size, activation
        self.inner = TokenDense(inner_size, name="inner", dtype=self.dtype_policy)
        self.outer = TokenDense(token_size, name="outer", dtype=self.dtype_policy)

    @build_once
    def build(self, input_shape: Any) -> None:
        self.inner.build(input_shape)
        self.outer.build((None, None, self.inner_size))

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        return self.outer(ACTIVATIONS[self.activation](self.inner(tokens)))

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(token_size=self.token_size, inner_size=self.inner_size, activation=self.activation)
        return config


class _Block(keras.layers.Layer):
    """What encoder and decoder layers share: their settings, and residual connections with layer norm."""

    def __init__(self, sizes: Any, attention: str, activation: str, dropout_rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = sizes if isinstance(sizes, TransformerSizes) else TransformerSizes(**sizes)
        self.attention, self.activation, self.dropout_rate = attention, activation, dropout_rate
        self.feed_forward: Optional[FeedForward] = None
        if self.sizes.inner > 0:
            self.feed_forward = FeedForward(
                self.sizes.token, self.sizes.inner, activation, name="feed_forward", dtype=self.dtype_policy
            )
            self.feed_forward_norm = keras.layers.LayerNormalization(
                epsilon=EPSILON, name="feed_forward_norm", dtype=self.dtype_policy
            )

    def _attention_layer(self, name: str) -> MultiHeadAttention:
        sizes = self.sizes
        return MultiHeadAttention(
            sizes.heads,
            sizes.query_key,
            sizes.value,
            sizes.token,
            activation=self.attention,
            name=name,
            dtype=self.dtype_policy,
        )

    def _build_feed_forward(self, token_shape: Any) -> None:
        if self.feed_forward is not None:
            self.feed_forward.build(token_shape)
            self.feed_forward_norm.build(token_shape)

    def _attend_to_each_other(
        self, tokens: tf.Tensor, key_mask: Optional[tf.Tensor], dropout: Optional[Dropout], first_tokens: Optional[int]
    ) -> tf.Tensor:
        """The self-attention, added and normalised, of `first_tokens` or (None) of all: (T, first_tokens or N, D)."""
        queries = tokens if first_tokens is None else tokens[:, :first_tokens]
        return self._add(queries, self.self_attention(queries, tokens, key_mask), self.self_attention_norm, dropout)

    def _add(self, tokens: tf.Tensor, update: tf.Tensor, norm: Any, dropout: Optional[Dropout]) -> tf.Tensor:
        return norm(tokens + apply_dropout(dropout, update, self.dropout_rate))

    def _add_feed_forward(self, tokens: tf.Tensor, dropout: Optional[Dropout]) -> tf.Tensor:
        if self.feed_forward is None:
            return tokens
        return self._add(tokens, self.feed_forward(tokens), self.feed_forward_norm, dropout)

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(
            sizes=dataclasses.asdict(self.sizes),
            attention=self.attention,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
        )
        return config


class EncoderLayer(_Block):
    """Self-attention, then the feed-forward network, each added and normalised.

    Args:
      sizes: `TransformerSizes` (or their dictionary).
      attention: `softmax` or `sigmoid`.
      activation: of the feed-forward network: `relu`, `gelu`, `leaky_relu` or `none`.
      dropout_rate: rate of dropout on what is added, while training.

    Call: tokens (T, N, D), key_mask (T, N) float, 1 = ignore this token as a key -> (T, N, D); of the first
    `first_tokens` only where that is given: (T, first_tokens, D).
    """

    def __init__(
        self, sizes: Any, attention: str = "softmax", activation: str = "relu", dropout_rate: float = 0.0, **kwargs: Any
    ):
        super().__init__(sizes, attention, activation, dropout_rate, **kwargs)
        self.self_attention = self._attention_layer("self_attention")
        self.self_attention_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name="self_attention_norm", dtype=self.dtype_policy
        )

    @property
    def last_attention_norm(self) -> keras.layers.LayerNormalization:
        """The norm after the last attention."""
        return self.self_attention_norm

    @build_once
    def build(self, input_shape: Any) -> None:
        self.self_attention.build(input_shape)
        self.self_attention_norm.build(input_shape)
        self._build_feed_forward(input_shape)

    def call(
        self,
        tokens: tf.Tensor,
        key_mask: Optional[tf.Tensor] = None,
        dropout: Optional[Dropout] = None,
        first_tokens: Optional[int] = None,
    ) -> tf.Tensor:
        return self._add_feed_forward(self._attend_to_each_other(tokens, key_mask, dropout, first_tokens), dropout)


class DecoderLayer(_Block):
    """Self-attention, attention to an encoded sequence, feed-forward network, each added and normalised.

    Args: as for `EncoderLayer`.

    Call: tokens (T, N, D), encoded (T, M, E), key_mask (T, N) for the self-attention, encoded_key_mask (T, M)
    -> (T, N, D); of the first `first_tokens` only where that is given: (T, first_tokens, D).
    """

    def __init__(
        self, sizes: Any, attention: str = "softmax", activation: str = "relu", dropout_rate: float = 0.0, **kwargs: Any
    ):
        super().__init__(sizes, attention, activation, dropout_rate, **kwargs)
        self.self_attention = self._attention_layer("self_attention")
        self.self_attention_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name="self_attention_norm", dtype=self.dtype_policy
        )
        self.cross_attention = self._attention_layer("cross_attention")
        self.cross_attention_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name="cross_attention_norm", dtype=self.dtype_policy
        )

    @property
    def last_attention_norm(self) -> keras.layers.LayerNormalization:
        """The norm after the last attention."""
        return self.cross_attention_norm

    @build_once
    def build(self, token_shape: Any, encoded_shape: Any = None) -> None:
        self.self_attention.build(token_shape)
        self.self_attention_norm.build(token_shape)
        self.cross_attention.build(token_shape, token_shape if encoded_shape is None else encoded_shape)
        self.cross_attention_norm.build(token_shape)
        self._build_feed_forward(token_shape)

    def call(
        self,
        tokens: tf.Tensor,
        encoded: tf.Tensor,
        key_mask: Optional[tf.Tensor] = None,
        encoded_key_mask: Optional[tf.Tensor] = None,
        dropout: Optional[Dropout] = None,
        first_tokens: Optional[int] = None,
    ) -> tf.Tensor:
        tokens = self._attend_to_each_other(tokens, key_mask, dropout, first_tokens)
        attended = self.cross_attention(tokens, encoded, encoded_key_mask)
        tokens = self._add(tokens, attended, self.cross_attention_norm, dropout)
        return self._add_feed_forward(tokens, dropout)
