"""What reads the support set and writes weights, as gin sees it: `features` and `transformer`.

These classes hold settings and check them; they know nothing of TensorFlow. Defaults are the paper's Omniglot model
(Section 4).
"""

import dataclasses
from typing import Optional

import gin
from hypertransformer_tf.config_checks import (
    is_real_number,
    require_flag,
    require_number_between,
    require_number_of,
    require_one_of,
    require_rate,
    require_whole_number,
)
from hypertransformer_tf.errors import UserError

_LARGEST_SIZE = 1e9


@gin.configurable("features")
@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
    """Feature extractors that turn a support sample into a vector (paper, Section 3).

    Attributes:
      local_layers: convolutions of a local extractor (the logits layer's always has one).
      local_dim: filters of a local extractor; None is max(in, out) channels of its CNN layer; 0 is no extractor.
      nonlinear: the logits layer's extractor is read after its ReLU instead of before.
      logits: what the logits layer's generator reads of the last feature map: `convolution` (a local extractor),
        `passthrough` (the map itself, flattened) or `mix` (both). There is a choice only where that layer
        reads the flattened map, and not its average over space.
      local_dropout: rate of dropout on local features, while training.
      shared_layers: convolutions of the shared extractor: 0 (none), 2, 3 or 4.
      shared_dim: its filters.
      shared_padding: `same` or `valid`.
      shared_batch_norm: normalise after each ReLU, with the moments of the support set that goes through.
      shared_dropout: rate of dropout on shared features, while training.
      initializer: of all extractors' kernels: `glorot_uniform` (the authors') or `he_normal`, under which features are
        not drowned by the embeddings beside them when training begins.
    """

    local_layers: int = 2
    local_dim: Optional[int] = None
    nonlinear: bool = False
    logits: str = "convolution"
    local_dropout: float = 0.0
    shared_layers: int = 4
    shared_dim: int = 32
    shared_padding: str = "same"
    shared_batch_norm: bool = False
    shared_dropout: float = 0.0
    initializer: str = "glorot_uniform"

    def __post_init__(self) -> None:
        require_one_of("features.initializer", self.initializer, ("glorot_uniform", "he_normal"))
        require_whole_number("features.local_layers", self.local_layers, at_least=1)
        if self.local_dim is not None:
            require_whole_number("features.local_dim", self.local_dim, at_least=0)
        require_flag("features.nonlinear", self.nonlinear)
        require_one_of("features.logits", self.logits, ("convolution", "passthrough", "mix"))
        require_rate("features.local_dropout", self.local_dropout)
        require_number_of("features.shared_layers", self.shared_layers, (0, 2, 3, 4))
        require_whole_number("features.shared_dim", self.shared_dim, at_least=1)
        require_one_of("features.shared_padding", self.shared_padding, ("same", "valid"))
        require_flag("features.shared_batch_norm", self.shared_batch_norm)
        require_rate("features.shared_dropout", self.shared_dropout)
        if self.local_dim == 0 and self.shared_layers == 0:
            raise UserError(
                "features.local_dim = 0 and features.shared_layers = 0 leave no features at all: give one of them."
            )


@gin.configurable("transformer")
@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """The weight-generating transformers, one per generated CNN layer (paper, Section 3).

    Sizes are fractions of the token size; values above 3 are absolute.

    Attributes:
      variant: `encoder`, `encoder_decoder` (both on the joint sequence of weight and sample tokens), or `separate`
        (samples through an encoder, weights through a decoder that attends to it).
      layers: transformer layers (of the encoder and of the decoder).
      heads: attention heads.
      embedding_dim: size of label and weight embeddings.
      query_key_size: size of queries and keys, over all heads.
      value_size: size of values, over all heads.
      inner_size: inner size of the feed-forward network; 0 is no feed-forward network.
      attention: `softmax` or `sigmoid`.
      activation: of the feed-forward network: `relu`, `gelu` or `leaky_relu` (slope 0.1); that of a decoder is ReLU
        always.
      skip_last_nonlinearity: no activation in the last layer, which is the decoder's where there is one.
      dropout: rate of dropout on the output of attention and feed-forward network, while training.
      output_scale: initial gamma of the last layer norm, and so the size of the weights that are written when training
        begins: 1 is the authors'; smaller weights change faster.
      attention_scale: in the generators of convolutions, what attention adds begins so many times as large: where it is
        small, the kernels of all episodes begin nearly alike, as trained ones would be, and differ once that helps.
      separate_ignores_mask: the `separate` variant reads masked samples too, as the authors' program does.
      match_labels: the logits' weight tokens begin with the embeddings of their classes, and keys equal to queries, so
        that each attends to the samples of its class from the first step (the construction of the paper's Section
        3.2); otherwise this has to be found by chance. Where `features.logits` hands on the map that the layer reads,
        each class begins near the mean of its samples' maps, as far as `value_size` has room for them.
      spread_labels: the first layer of the logits' generator begins by giving unlabelled samples the labels of those
        whose maps are like theirs, and the second counts them among the samples of a class by that (the paper's
        construction for semi-supervision, Section 3.2); needs `match_labels`, softmax attention, two layers, more
        embedding dimensions than classes, and `features.logits` as above.
    """

    variant: str = "encoder"
    layers: int = 3
    heads: int = 2
    embedding_dim: int = 32
    query_key_size: float = 1.0
    value_size: float = 1.0
    inner_size: float = 1.0
    attention: str = "softmax"
    activation: str = "relu"
    skip_last_nonlinearity: bool = False
    dropout: float = 0.0
    output_scale: float = 1.0
    match_labels: bool = False
    spread_labels: bool = False
    attention_scale: float = 1.0
    separate_ignores_mask: bool = False

    def __post_init__(self) -> None:
        require_one_of("transformer.variant", self.variant, ("encoder", "encoder_decoder", "separate"))
        require_whole_number("transformer.layers", self.layers, at_least=1)
        require_whole_number("transformer.heads", self.heads, at_least=1)
        require_whole_number("transformer.embedding_dim", self.embedding_dim, at_least=1)
        for name in ("query_key_size", "value_size", "inner_size"):
            value = getattr(self, name)
            known = is_real_number(value) and value <= _LARGEST_SIZE
            if not known or not (value > 0 or (value == 0 and name == "inner_size")):
                raise UserError(
                    f"transformer.{name} = {value!r} is not right: use a fraction of the token size, or a size above 3 "
                    f"and up to {_LARGEST_SIZE:g}."
                )
        require_one_of("transformer.attention", self.attention, ("softmax", "sigmoid"))
        require_one_of("transformer.activation", self.activation, ("relu", "gelu", "leaky_relu"))
        require_flag("transformer.skip_last_nonlinearity", self.skip_last_nonlinearity)
        require_rate("transformer.dropout", self.dropout)
        require_number_between("transformer.output_scale", self.output_scale, 1e-6, 1e6)
        require_number_between("transformer.attention_scale", self.attention_scale, 1e-6, 1e6)
        require_flag("transformer.match_labels", self.match_labels)
        if self.match_labels and self.variant != "encoder":
            raise UserError("transformer.match_labels = True needs transformer.variant = 'encoder'.")
        self._check_spread_labels()
        require_flag("transformer.separate_ignores_mask", self.separate_ignores_mask)
        if self.separate_ignores_mask and self.variant != "separate":
            raise UserError("transformer.separate_ignores_mask = True needs transformer.variant = 'separate'.")

    def _check_spread_labels(self) -> None:
        require_flag("transformer.spread_labels", self.spread_labels)
        if not self.spread_labels:
            return
        for met, need in (
            (self.match_labels, "transformer.match_labels = True"),
            (self.layers > 1, "transformer.layers of 2 or more"),
            (self.attention == "softmax", "transformer.attention = 'softmax'"),
        ):
            if not met:
                raise UserError(f"transformer.spread_labels = True needs {need}.")
