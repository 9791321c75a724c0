"""How the weights of a CNN layer lie in weight tokens (paper, Section 3). Needs no TensorFlow."""

from typing import NamedTuple

from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.config import GeneratorConfig


class BlockLayout(NamedTuple):
    """How many weight tokens a CNN layer has and how many values each of them writes."""

    tokens: int
    size: int


def convolution_layout(spec: ConvolutionSpec, config: GeneratorConfig) -> BlockLayout:
    """A token per output channel (`output`) or per kernel position (`spatial`)."""
    positions, c_in, c_out = spec.kernel_size**2, spec.kernel_shape[2], spec.kernel_shape[3]
    if config.allocation == "spatial":
        return BlockLayout(positions, c_in * c_out)
    return BlockLayout(c_out, positions * c_in + int(config.bias) + 2 * int(config.batch_norm))


def logits_layout(n_way: int, input_size: int) -> BlockLayout:
    """A token per class: `input_size` weights, then the bias."""
    return BlockLayout(n_way, input_size + 1)
