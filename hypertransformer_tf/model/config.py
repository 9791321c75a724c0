"""What a HyperTransformer is made of, as gin sees it: `cnn`, `features`, `transformer`, `generator`.

These classes hold settings and check them; they know nothing of TensorFlow, so that a configuration can be
read and refused before it is imported. Defaults are the paper's Omniglot model (Section 4) with 8
channels.
"""

import dataclasses
from typing import Any, Mapping, Optional

import gin
from hypertransformer_tf.errors import UserError

ARCHITECTURES = ("maxpool-4-layer", "3-layer", "4-layer")
NORMALISATIONS = ("query",)


def _one_of(name: str, value: Any, allowed: tuple) -> None:
    if value not in allowed:
        raise UserError(f"{name} = {value!r} is not known: use one of {', '.join(map(repr, allowed))}.")


def _at_least(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name} = {value!r} is not right: use a whole number of at least {least}.")


def _rate(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
        raise UserError(f"{name} = {value!r} is not right: use a rate of 0 or more and below 1.")


def _switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UserError(f"{name} = {value!r} is not right: use True or False.")


@gin.configurable("cnn")
@dataclasses.dataclass(frozen=True)
class CnnConfig:
    """The generated CNN (paper, Section 3).

    Attributes:
      architecture: `maxpool-4-layer` (the paper's), `3-layer` or `4-layer`.
      channels: output channels of every convolution.
      kernel_size: side of the convolution kernels.
      stride: stride of the convolutions.
      activation: `relu` or `leaky_relu` (slope 0.01).
      dropout: rate of dropout before the logits, while training.
      trained_layers: n > 0 trains the first n convolutions instead of generating them, n < 0 the last |n|.
      separate_query_variables: the pass over the query set has its own trained variables (gamma, beta, kernels)
        instead of sharing those of the pass over the support set.
      normalisation: where normalisation takes its statistics from: `query` is the batch that goes through.
      warmup_heads: logits heads after every convolution but the last, for the warm-up loss: `none`, `generated`
        by transformers of their own, or `trained` (one dense layer for all episodes, as in the authors' program).
    """

    architecture: str = "maxpool-4-layer"
    channels: int = 8
    kernel_size: int = 3
    stride: int = 1
    activation: str = "relu"
    dropout: float = 0.0
    trained_layers: int = 0
    separate_query_variables: bool = False
    normalisation: str = "query"
    warmup_heads: str = "none"

    def __post_init__(self):
        _one_of("cnn.architecture", self.architecture, ARCHITECTURES)
        _at_least("cnn.channels", self.channels, 1)
        _at_least("cnn.kernel_size", self.kernel_size, 1)
        _at_least("cnn.stride", self.stride, 1)
        _one_of("cnn.activation", self.activation, ("relu", "leaky_relu"))
        _rate("cnn.dropout", self.dropout)
        layers = 3 if self.architecture == "3-layer" else 4
        _one_of("cnn.trained_layers", self.trained_layers, tuple(range(-layers, layers + 1)))
        _switch("cnn.separate_query_variables", self.separate_query_variables)
        _one_of("cnn.normalisation", self.normalisation, NORMALISATIONS)
        _one_of("cnn.warmup_heads", self.warmup_heads, ("none", "generated", "trained"))


@gin.configurable("features")
@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
    """Feature extractors that turn a support sample into a vector (paper, Section 3).

    Attributes:
      local_layers: convolutions of a local extractor (the logits layer's always has one).
      local_dim: filters of a local extractor; None is max(in, out) channels of its CNN layer; 0 is no extractor.
      nonlinear: the logits layer's extractor is read after its ReLU instead of before.
      logits: what the logits layer's generator reads of the last feature map: `convolution` (a local extractor),
        `passthrough` (the map itself, flattened) or `mix` (both). Only `maxpool-4-layer` has a choice.
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

    def __post_init__(self):
        _one_of("features.initializer", self.initializer, ("glorot_uniform", "he_normal"))
        _at_least("features.local_layers", self.local_layers, 1)
        if self.local_dim is not None:
            _at_least("features.local_dim", self.local_dim, 0)
        _switch("features.nonlinear", self.nonlinear)
        _one_of("features.logits", self.logits, ("convolution", "passthrough", "mix"))
        _rate("features.local_dropout", self.local_dropout)
        _one_of("features.shared_layers", self.shared_layers, (0, 2, 3, 4))
        _at_least("features.shared_dim", self.shared_dim, 1)
        _one_of("features.shared_padding", self.shared_padding, ("same", "valid"))
        _switch("features.shared_batch_norm", self.shared_batch_norm)
        _rate("features.shared_dropout", self.shared_dropout)
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
      activation: of the feed-forward network: `relu`, `gelu` or `leaky_relu` (slope 0.1).
      skip_last_nonlinearity: no activation in the last encoder layer of the `encoder` variant.
      dropout: rate of dropout on the output of attention and feed-forward network, while training.
      output_scale: initial gamma of the last layer norm, and so the size of the weights that are written when training
        begins: 1 is the authors'; smaller weights change faster.
      match_labels: the logits' weight tokens begin with the embeddings of their classes, and keys equal to queries, so
        that each attends to the samples of its class from the first step (the construction of the paper's Section
        3.2); otherwise this has to be found by chance.
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

    def __post_init__(self):
        _one_of("transformer.variant", self.variant, ("encoder", "encoder_decoder", "separate"))
        _at_least("transformer.layers", self.layers, 1)
        _at_least("transformer.heads", self.heads, 1)
        _at_least("transformer.embedding_dim", self.embedding_dim, 1)
        for name in ("query_key_size", "value_size", "inner_size"):
            value = getattr(self, name)
            known = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not known or not (value > 0 or (value == 0 and name == "inner_size")):
                raise UserError(
                    f"transformer.{name} = {value!r} is not right: use a fraction of the token size, or a size above 3."
                )
        _one_of("transformer.attention", self.attention, ("softmax", "sigmoid"))
        _one_of("transformer.activation", self.activation, ("relu", "gelu", "leaky_relu"))
        _switch("transformer.skip_last_nonlinearity", self.skip_last_nonlinearity)
        _rate("transformer.dropout", self.dropout)
        if (
            isinstance(self.output_scale, bool)
            or not isinstance(self.output_scale, (int, float))
            or self.output_scale <= 0
        ):
            raise UserError(f"transformer.output_scale = {self.output_scale!r} is not right: use a number above 0.")
        _switch("transformer.match_labels", self.match_labels)
        if self.match_labels and self.variant != "encoder":
            raise UserError("transformer.match_labels = True needs transformer.variant = 'encoder'.")


@gin.configurable("generator")
@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Which weights are generated and how they lie in the tokens (paper, Section 3).

    Attributes:
      allocation: `output` (a token per output channel) or `spatial` (a token per kernel position).
      bias: generate convolution biases (`output` only).
      batch_norm: generate gamma and beta instead of training them (`output` only).
      add_trained_weights: add a trained tensor to every generated one.
    """

    allocation: str = "output"
    bias: bool = False
    batch_norm: bool = False
    add_trained_weights: bool = False

    def __post_init__(self):
        _one_of("generator.allocation", self.allocation, ("output", "spatial"))
        for name in ("bias", "batch_norm", "add_trained_weights"):
            _switch(f"generator.{name}", getattr(self, name))
        if self.allocation == "spatial" and (self.bias or self.batch_norm):
            raise UserError(
                "generator.allocation = 'spatial' has no place for a generated bias or batch norm: "
                "set generator.bias and generator.batch_norm to False, or use 'output'."
            )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """All settings of a model. Built from the gin bindings in force where a part is not given."""

    cnn: CnnConfig = dataclasses.field(default_factory=CnnConfig)
    features: FeaturesConfig = dataclasses.field(default_factory=FeaturesConfig)
    transformer: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain dictionaries, for JSON and Keras' `get_config`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, config: Mapping[str, Mapping[str, Any]]) -> "ModelConfig":
        """Inverse of `to_dict`."""
        return cls(
            cnn=CnnConfig(**config["cnn"]),
            features=FeaturesConfig(**config["features"]),
            transformer=TransformerConfig(**config["transformer"]),
            generator=GeneratorConfig(**config["generator"]),
        )
