"""Which layers a generated CNN has, with every size worked out (paper, Section 3)."""

import dataclasses
from typing import NamedTuple, Tuple

from hypertransformer_tf.cnn.config import CONVOLUTIONS, CnnConfig
from hypertransformer_tf.errors import UserError

Shape = Tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class ConvolutionSpec:
    """One convolution of the generated CNN with its activation, pooling and normalisation.

    Attributes:
      index: position in the CNN, from 1, as in the paper and in the authors' variable names.
      input_shape, output_shape: (H, W, C) of the feature map before and after the layer.
      kernel_size, stride, padding: of the convolution; padding is `SAME` or `VALID`.
      pool: side and stride of the max-pool after the activation; 1 is none.
      generated: whether a transformer writes the kernel, or it is trained.
    """

    index: int
    input_shape: Shape
    output_shape: Shape
    kernel_size: int
    stride: int
    padding: str
    pool: int
    generated: bool

    @property
    def kernel_shape(self) -> Tuple[int, int, int, int]:
        """(k, k, c_in, c_out)."""
        return (self.kernel_size, self.kernel_size, self.input_shape[-1], self.output_shape[-1])


@dataclasses.dataclass(frozen=True)
class LogitsSpec:
    """The dense layer at the end.

    Attributes:
      index: position in the CNN.
      input_shape: (H, W, C) of the feature map it reads.
      flatten: reads the whole map; otherwise its average over space.
    """

    index: int
    input_shape: Shape
    flatten: bool

    @property
    def input_size(self) -> int:
        """Number of values d that each class has a weight for."""
        height, width, channels = self.input_shape
        return height * width * channels if self.flatten else channels


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The convolutions, of which there may be none, and the logits layer of a generated CNN."""

    convolutions: Tuple[ConvolutionSpec, ...]
    logits: LogitsSpec

    @property
    def input_shape(self) -> Shape:
        """(H, W, C) of the images."""
        return self.convolutions[0].input_shape if self.convolutions else self.logits.input_shape


class _Plan(NamedTuple):
    """What distinguishes an architecture: its padding, the pool after each convolution, what the logits layer reads."""

    padding: str
    pools: Tuple[int, ...]
    flatten: bool


# LGM-Net's pools are those of its authors' program: 84 pixels become 42, 21, 10 and, by the two generated layers, 5.
_PLANS = {
    "maxpool-4-layer": _Plan("SAME", (2, 2, 2, 2), flatten=True),
    "lgm-net": _Plan("SAME", (2, 2, 2, 1, 2, 1), flatten=True),
    "no-convolutions": _Plan("SAME", (), flatten=True),
}


def _plan_of(name: str) -> _Plan:
    return _PLANS.get(name) or _Plan("VALID", (1,) * CONVOLUTIONS[name], flatten=False)


def reads_whole_map(name: str) -> bool:
    """Whether the logits layer of an architecture reads the last feature map, and not its average over space."""
    return _plan_of(name).flatten


def _output_side(side: int, kernel_size: int, stride: int, padding: str, pool: int) -> int:
    if padding == "SAME":
        side = -(-side // stride)
    else:
        side = (side - kernel_size) // stride + 1 if side >= kernel_size else 0
    return side // pool


def build_architecture(config: CnnConfig, image_shape: Shape) -> Architecture:
    """Lays out the CNN for images of `image_shape` (H, W, C), H equal to W.

    Raises:
      UserError: the images are not square, or too small for the CNN.
    """
    if image_shape[0] != image_shape[1]:
        raise UserError(f"images of shape {image_shape} are not square: the generated CNN needs H equal to W.")
    plan, count = _plan_of(config.architecture), CONVOLUTIONS[config.architecture]
    first, last = config.trained_layers, count + config.trained_layers
    convolutions, shape = [], image_shape
    for index, pool in enumerate(plan.pools, 1):
        side = _output_side(shape[0], config.kernel_size, config.stride, plan.padding, pool)
        if side < 1:
            raise UserError(
                f"images of {image_shape[0]} pixels are too small for cnn.architecture = {config.architecture!r} with "
                f"cnn.stride = {config.stride}: layer {index} would have no output; use larger images "
                "or a smaller stride."
            )
        trained = index <= first if first >= 0 else index > last
        output_shape = (side, side, config.channels)
        convolutions.append(
            ConvolutionSpec(
                index, shape, output_shape, config.kernel_size, config.stride, plan.padding, pool, not trained
            )
        )
        shape = output_shape
    return Architecture(tuple(convolutions), LogitsSpec(count + 1, shape, plan.flatten))
