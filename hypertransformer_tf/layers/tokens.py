"""Tokens: how samples and weights enter the transformer (paper, Section 3 and Figure 2)."""

from typing import Any, Dict

import keras
import tensorflow as tf

from hypertransformer_tf.keras_stack import build_once


class SampleTokens(keras.layers.Layer):
    """Sample tokens [label embedding, features, zero padding].

    There is one learned embedding per class and one more, the last, that stands for "no label".

    Args:
      n_way: number of classes.
      embedding_dim: size of a label embedding.

    Call: labels (T, S) int32, -1 for "no label"; features (T, S, F) float32; token size -> (T, S, token size).
    """

    def __init__(self, n_way: int, embedding_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n_way, self.embedding_dim = n_way, embedding_dim

    @build_once
    def build(self, input_shape: Any = None) -> None:
        self.label_embeddings = self.add_weight(
            name="label_embeddings",
            shape=(self.n_way + 1, self.embedding_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def call(self, labels: tf.Tensor, features: tf.Tensor, token_size: int) -> tf.Tensor:
        rows = tf.where(labels < 0, self.n_way, labels)
        # A product with one-hot rows instead of a gather: its gradient is dense, which every compiler takes.
        one_hot = tf.one_hot(rows, self.n_way + 1, dtype=features.dtype)
        embedded = tf.einsum("tsl,le->tse", one_hot, tf.cast(self.label_embeddings, features.dtype))
        padding = token_size - self.embedding_dim - int(features.shape[-1])
        return tf.pad(tf.concat([embedded, features], -1), ((0, 0), (0, 0), (0, padding)))

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(n_way=self.n_way, embedding_dim=self.embedding_dim)
        return config


class WeightTokens(keras.layers.Layer):
    """Weight tokens [learned weight embedding, zeros], the same in every episode.

    Args:
      tokens: number of weight tokens.
      embedding_dim: size of an embedding.

    Call: token size -> (1, tokens, token size).
    """

    def __init__(self, tokens: int, embedding_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.tokens, self.embedding_dim = tokens, embedding_dim

    @build_once
    def build(self, input_shape: Any = None) -> None:
        self.weight_embeddings = self.add_weight(
            name="weight_embeddings",
            shape=(self.tokens, self.embedding_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def call(self, token_size: int) -> tf.Tensor:
        embeddings = tf.convert_to_tensor(self.weight_embeddings)[tf.newaxis]
        return tf.pad(embeddings, ((0, 0), (0, 0), (0, token_size - self.embedding_dim)))

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        config.update(tokens=self.tokens, embedding_dim=self.embedding_dim)
        return config
