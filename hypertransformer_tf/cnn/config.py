"""What a generated CNN is, as gin sees it: `cnn`, and which of its weights are generated: `generator`.

These classes hold settings and check them; they know nothing of TensorFlow, so that a configuration can be
read and refused before it is imported. Defaults are the paper's Omniglot model (Section 4) with 8 channels.
"""

import dataclasses

import gin
from hypertransformer_tf.config_checks import (
    require_flag,
    require_number_of,
    require_one_of,
    require_rate,
    require_whole_number,
)
from hypertransformer_tf.errors import UserError

CONVOLUTIONS = {  # of each architecture; `architecture.py` says what they are
    "maxpool-4-layer": 4,
    "2-layer": 2,
    "3-layer": 3,
    "4-layer": 4,
    "lgm-net": 6,
    "no-convolutions": 0,
}
NORMALISATIONS = ("query", "support", "task")


@gin.configurable("cnn")
@dataclasses.dataclass(frozen=True)
class CnnConfig:
    """The generated CNN (paper, Section 3).

    Attributes:
      architecture: `maxpool-4-layer` (the paper's), `3-layer` or `4-layer` (the authors' others), `2-layer` (of the
        paper's pictures of kernels), `lgm-net` (six convolutions, for the comparison with LGM-Net), or
        `no-convolutions` (the logits layer alone, for vectors that another network made).
      channels: output channels of every convolution.
      kernel_size: side of the convolution kernels.
      stride: stride of the convolutions.
      activation: `relu` or `leaky_relu` (slope 0.01).
      dropout: rate of dropout before the logits, while training.
      trained_layers: n > 0 trains the first n convolutions instead of generating them, n < 0 the last |n|.
      separate_query_variables: the pass over the query set has its own trained variables (gamma, beta, kernels)
        instead of sharing those of the pass over the support set.
      normalisation: where normalisation takes its statistics from: `query` is the batch that goes through (the
        authors'; transductive), `support` the support set's pass, `task` the support set's pass blended with the
        picture's own (both inductive: a query's logits do not depend on other queries).
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

    def __post_init__(self) -> None:
        require_one_of("cnn.architecture", self.architecture, tuple(CONVOLUTIONS))
        require_whole_number("cnn.channels", self.channels, at_least=1)
        require_whole_number("cnn.kernel_size", self.kernel_size, at_least=1)
        require_whole_number("cnn.stride", self.stride, at_least=1)
        require_one_of("cnn.activation", self.activation, ("relu", "leaky_relu"))
        require_rate("cnn.dropout", self.dropout)
        layers = CONVOLUTIONS[self.architecture]
        require_number_of("cnn.trained_layers", self.trained_layers, tuple(range(-layers, layers + 1)))
        require_flag("cnn.separate_query_variables", self.separate_query_variables)
        require_one_of("cnn.normalisation", self.normalisation, NORMALISATIONS)
        require_one_of("cnn.warmup_heads", self.warmup_heads, ("none", "generated", "trained"))


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

    def __post_init__(self) -> None:
        require_one_of("generator.allocation", self.allocation, ("output", "spatial"))
        for name in ("bias", "batch_norm", "add_trained_weights"):
            require_flag(f"generator.{name}", getattr(self, name))
        if self.allocation == "spatial" and (self.bias or self.batch_norm):
            raise UserError(
                "generator.allocation = 'spatial' has no place for a generated bias or batch norm: "
                "set generator.bias and generator.batch_norm to False, or use 'output'."
            )
