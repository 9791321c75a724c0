"""How long the tokens of each weight generator are, known before there is a model (paper, Section 3).

`LayerFactory` and `WeightGenerator` decide it; this says the same from settings alone, so that heads which do not
divide a size are refused before TensorFlow is loaded.
"""

from typing import Iterator, NamedTuple

from hypertransformer_tf.cnn.architecture import Architecture, ConvolutionSpec, LogitsSpec
from hypertransformer_tf.cnn.layout import convolution_layout, logits_layout
from hypertransformer_tf.layers.feature_sizes import local_convolutions
from hypertransformer_tf.layers.transformer_sizes import TransformerSizes
from hypertransformer_tf.model.config import ModelConfig


class TokenSizes(NamedTuple):
    """Number of values of a sample token and of a weight token."""

    sample: int
    weight: int


def token_sizes(config: ModelConfig, architecture: Architecture) -> Iterator[TokenSizes]:
    """Those of the generators of convolutions, in order, of the logits layer, and of warm-up heads."""
    for spec in architecture.convolutions:
        if spec.generated:
            layout = convolution_layout(spec, config.generator)
            yield _token_sizes(config, _convolution_features(config, spec), layout.size)
    logits = [(architecture.logits, config.features.logits if architecture.logits.flatten else "convolution")]
    if config.cnn.warmup_heads == "generated":
        heads = [LogitsSpec(spec.index, spec.output_shape, flatten=False) for spec in architecture.convolutions[:-1]]
        logits += [(head, "convolution") for head in heads]
    for dense, source in logits:
        # The number of classes is a number of tokens, not a size.
        yield _token_sizes(config, _logits_features(config, dense, source), logits_layout(2, dense.input_size).size)


def check_heads(config: ModelConfig, architecture: Architecture) -> None:
    """Raises UserError where heads do not divide what fractions of a token's size come to."""
    transformer = config.transformer
    for sizes in token_sizes(config, architecture):
        for size in sizes:
            TransformerSizes.of_token(
                size,
                transformer.heads,
                transformer.query_key_size,
                transformer.value_size,
                transformer.inner_size,
                round_up=transformer.variant != "separate",
            )


def _token_sizes(config: ModelConfig, local_features: int, block: int) -> TokenSizes:
    shared_features = config.features.shared_dim if config.features.shared_layers else 0
    sizes = TokenSizes(*(config.transformer.embedding_dim + each for each in (local_features + shared_features, block)))
    return sizes if config.transformer.variant == "separate" else TokenSizes(max(sizes), max(sizes))


def _convolution_features(config: ModelConfig, spec: ConvolutionSpec) -> int:
    features = config.features
    size = max(spec.kernel_shape[2:]) if features.local_dim is None else features.local_dim
    return size * len(local_convolutions(spec.input_shape[0], features.local_layers, spec.kernel_size)[1])


def _logits_features(config: ModelConfig, spec: LogitsSpec, source: str) -> int:
    height, width, channels = spec.input_shape
    flat = 0 if source == "convolution" else height * width * channels
    convolution = channels if config.features.local_dim is None else config.features.local_dim
    return flat + (0 if source == "passthrough" else convolution)
