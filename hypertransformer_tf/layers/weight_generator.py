"""The weight generator: one transformer that writes the weights of one CNN layer (paper, Figures 1 and 2)."""

import dataclasses
from typing import Any, Dict, List, Optional, Tuple, Union

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.layout import BlockLayout
from hypertransformer_tf.keras_stack import build_once
from hypertransformer_tf.layers import initial_values
from hypertransformer_tf.layers.config import TransformerConfig
from hypertransformer_tf.layers.dropout import Dropout, apply_dropout
from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures
from hypertransformer_tf.layers.tokens import SampleTokens, WeightTokens
from hypertransformer_tf.layers.transformer import DecoderLayer, EncoderLayer
from hypertransformer_tf.layers.transformer_sizes import TransformerSizes

Features = Union[LocalFeatures, LogitsFeatures]
Classes = Union[int, tf.Tensor]
Masks = Tuple[Optional[tf.Tensor], Optional[tf.Tensor]]  # of weight tokens, of samples


class WeightGenerator(keras.layers.Layer):
    """Support activations and labels in, weight blocks of one CNN layer out.

    Args:
      n_way: number of classes.
      layout: number of weight tokens and block size (a pair).
      config: `TransformerConfig`, or its dictionary.
      local_features: layer that makes a vector of each sample's activations, or None.
      shared_size: size of the shared features; 0 without them.
      local_dropout: rate of dropout on the local features, while training.
      tokens_are_classes: weight token i stands for class i, as in a logits layer.

    Call:
      activations (T, S, H, W, C) float32; labels (T, S) int32, -1 = no label; shared_features (T, S, shared_size)
      or None; support_mask (T, S) float, 1 = this sample is ignored, or None -> blocks (T, tokens, width): the block
      size, or more where sample tokens are the longer ones; what lies beyond the block size is not read.
      Where tokens are classes, `classes` says how many of them there are: an int leaves out the tokens of the others;
      an int32 tensor, () or (T,), keeps the shape and lets nothing attend to them.
    """

    def __init__(
        self,
        n_way: int,
        layout: Any,
        config: Any,
        local_features: Optional[Features] = None,
        shared_size: int = 0,
        local_dropout: float = 0.0,
        tokens_are_classes: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.n_way, self.layout = n_way, BlockLayout(*layout)
        self.config = config if isinstance(config, TransformerConfig) else TransformerConfig(**config)
        self.local_features, self.shared_size, self.local_dropout = local_features, shared_size, local_dropout
        self.tokens_are_classes = tokens_are_classes
        self.sample_tokens = SampleTokens(
            n_way, self.config.embedding_dim, name="sample_tokens", dtype=self.dtype_policy
        )
        self.weight_tokens = WeightTokens(
            self.layout.tokens, self.config.embedding_dim, name="weight_tokens", dtype=self.dtype_policy
        )
        self.encoder: List[EncoderLayer] = []
        self.decoder: List[DecoderLayer] = []

    @build_once
    def build(self, activation_shape: Any) -> None:
        features = self.shared_size
        if self.local_features is not None:
            self.local_features.build((None,) + tuple(activation_shape[2:]))
            features += self.local_features.output_size
        self.sample_tokens.build()
        self.weight_tokens.build()
        embedding = self.config.embedding_dim
        self.sample_size, self.weight_size = embedding + features, embedding + self.layout.size
        if self.config.variant != "separate":
            self.sample_size = self.weight_size = max(self.sample_size, self.weight_size)
        self._build_encoder()
        if self.config.variant != "encoder":
            self._build_decoder()
        self._set_initial_values()

    def _set_initial_values(self) -> None:
        """Starts from what the scales, `match_labels` and `spread_labels` ask for; see `TransformerConfig`."""
        initial_values.scale_output((self.decoder or self.encoder)[-1], self.config.output_scale)
        if not self.tokens_are_classes:
            initial_values.scale_attention([*self.encoder, *self.decoder], self.config.attention_scale)
        if self.config.match_labels and self.tokens_are_classes:
            initial_values.match_labels(self.sample_tokens, self.weight_tokens, self.encoder)
            inputs = self.layout.size - 1  # of the logits layer: a block ends with the bias
            if isinstance(self.local_features, LogitsFeatures) and self.local_features.flat_size == inputs:
                embedding = self.config.embedding_dim
                if self.config.spread_labels:
                    tokens = self.sample_tokens, self.weight_tokens
                    initial_values.spread_labels(*tokens, self.encoder, embedding, inputs)
                else:
                    initial_values.copy_means(self.encoder, embedding, inputs)

    def _build_encoder(self) -> None:
        config, sizes = self.config, self._sizes(self.sample_size)
        for index in range(1, config.layers + 1):
            last = config.variant == "encoder" and index == config.layers
            activation = "none" if last and config.skip_last_nonlinearity else config.activation
            layer = EncoderLayer(
                sizes, config.attention, activation, config.dropout, name=f"encoder_{index}", dtype=self.dtype_policy
            )
            layer.build((None, None, self.sample_size))
            self.encoder.append(layer)

    def _build_decoder(self) -> None:
        config, sizes = self.config, self._sizes(self.weight_size)
        for index in range(1, config.layers + 1):
            # The authors' decoder knows no activation but ReLU; that of the last layer can be left out.
            plain = index == config.layers and config.skip_last_nonlinearity
            activation = "none" if plain else "relu"
            layer = DecoderLayer(
                sizes, config.attention, activation, config.dropout, name=f"decoder_{index}", dtype=self.dtype_policy
            )
            layer.build((None, None, self.weight_size), (None, None, self.sample_size))
            self.decoder.append(layer)

    def _sizes(self, token_size: int) -> TransformerSizes:
        config = self.config
        return TransformerSizes.of_token(
            token_size,
            config.heads,
            config.query_key_size,
            config.value_size,
            config.inner_size,
            round_up=config.variant != "separate",
        )

    def call(
        self,
        activations: tf.Tensor,
        labels: tf.Tensor,
        shared_features: Optional[tf.Tensor] = None,
        support_mask: Optional[tf.Tensor] = None,
        dropout: Optional[Dropout] = None,
        classes: Optional[Classes] = None,
    ) -> tf.Tensor:
        samples, weights = self.make_tokens(activations, labels, shared_features, dropout, classes)
        masks = (self._token_mask(samples, classes), None if self.config.separate_ignores_mask else support_mask)
        if self.config.variant == "separate":
            outputs = self._run_separate(samples, weights, masks, dropout)
        else:
            outputs = self._run_joint(samples, weights, masks, dropout)
        return outputs[:, :, self.config.embedding_dim :]

    def make_tokens(
        self,
        activations: tf.Tensor,
        labels: tf.Tensor,
        shared_features: Optional[tf.Tensor] = None,
        dropout: Optional[Dropout] = None,
        classes: Optional[Classes] = None,
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """What the transformer reads: sample tokens (T, S, D) and weight tokens (T, tokens, E); as `call`."""
        features = self._features(activations, shared_features, dropout)
        samples = self.sample_tokens(labels, features, token_size=self.sample_size)
        weights = self.weight_tokens(token_size=self.weight_size)
        if isinstance(classes, int):
            weights = weights[:, :classes]
        return samples, tf.repeat(weights, tf.shape(samples)[0], axis=0)

    def _token_mask(self, samples: tf.Tensor, classes: Optional[Classes]) -> Optional[tf.Tensor]:
        if classes is None or isinstance(classes, int):
            return None
        absent = tf.range(self.layout.tokens)[tf.newaxis] >= tf.reshape(classes, (-1, 1))
        return tf.broadcast_to(tf.cast(absent, samples.dtype), (tf.shape(samples)[0], self.layout.tokens))

    def _features(
        self, activations: tf.Tensor, shared_features: Optional[tf.Tensor], dropout: Optional[Dropout]
    ) -> tf.Tensor:
        features = []
        if self.local_features is not None:
            shape = tf.shape(activations)
            local = self.local_features(tf.reshape(activations, (-1,) + tuple(activations.shape[2:])))
            local = apply_dropout(dropout, local, self.local_dropout)
            features.append(tf.reshape(local, (shape[0], shape[1], self.local_features.output_size)))
        if shared_features is not None:
            features.append(shared_features)
        return tf.concat(features, -1)

    def _run_joint(self, samples: tf.Tensor, weights: tf.Tensor, masks: Masks, dropout: Optional[Dropout]) -> tf.Tensor:
        sequence, mask = tf.concat([weights, samples], 1), None
        if any(given is not None for given in masks):
            mask = tf.concat([_mask_of(part, given) for given, part in zip(masks, (weights, samples))], 1)
        last = (self.decoder or self.encoder)[-1]

        def run(layer: Any, *tokens: tf.Tensor, **masks: Optional[tf.Tensor]) -> tf.Tensor:
            first = weights.shape[1] if layer is last else None  # nothing reads what becomes of the samples there
            return layer(*tokens, **masks, dropout=dropout, first_tokens=first)

        encoded = sequence
        for layer in self.encoder:
            encoded = run(layer, encoded, key_mask=mask)
        for layer in self.decoder:
            sequence = run(layer, sequence, encoded, key_mask=mask, encoded_key_mask=mask)
        return sequence if self.decoder else encoded

    def _run_separate(
        self, samples: tf.Tensor, weights: tf.Tensor, masks: Masks, dropout: Optional[Dropout]
    ) -> tf.Tensor:
        token_mask, support_mask = masks
        for layer in self.encoder:
            samples = layer(samples, key_mask=support_mask, dropout=dropout)
        for layer in self.decoder:
            weights = layer(weights, samples, key_mask=token_mask, encoded_key_mask=support_mask, dropout=dropout)
        return weights

    def get_config(self) -> Dict[str, Any]:
        config = super().get_config()
        features = self.local_features
        config.update(
            n_way=self.n_way,
            layout=tuple(self.layout),
            config=dataclasses.asdict(self.config),
            local_features=None if features is None else (type(features).__name__, features.get_config()),
            shared_size=self.shared_size,
            local_dropout=self.local_dropout,
            tokens_are_classes=self.tokens_are_classes,
        )
        return config

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "WeightGenerator":
        config = dict(config)
        if config["local_features"] is not None:
            # Not Keras' serialize, which knows registered classes only.
            name, settings = config["local_features"]
            known: Dict[str, Any] = {"LocalFeatures": LocalFeatures, "LogitsFeatures": LogitsFeatures}
            config["local_features"] = known[name].from_config(settings)
        return cls(**config)


def _mask_of(tokens: tf.Tensor, given: Optional[tf.Tensor]) -> tf.Tensor:
    """The mask (T, N) float32 of tokens (T, N, D), of which none is ignored where none was given."""
    return tf.zeros(tf.shape(tokens)[:2]) if given is None else tf.cast(given, tf.float32)
