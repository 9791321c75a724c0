"""A generated CNN as plain numbers: what every exported format is made from.

The weights are NumPy arrays of one episode, without the axis of the task batch, and come with all else that a program
needs to compute probabilities from pixels: layout, activation, inversion and temperature.
"""

import dataclasses
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from hypertransformer_tf.cnn.architecture import Architecture, ConvolutionSpec
from hypertransformer_tf.cnn.normalisation import EPSILON
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights
from hypertransformer_tf.errors import UserError

PIXEL_SCALE = 1.0 / 128.0


class Affine(NamedTuple):
    """`scale * x + offset`, each (C,) float32."""

    scale: np.ndarray
    offset: np.ndarray


class Blend(NamedTuple):
    """Normalisation with the support set's moments and a picture's own, arranged for few operations.

    With y = x - mean, z and q the averages of y and of y * y over the picture, a picture is normalised to
    (y - share * z) / sqrt(share * q + floor - (share * z)^2): the moments of the mixture of both, see
    `cnn/normalisation.py`.

    Attributes:
      mean: (C,) of the support set.
      floor: (C,) the support set's part of the variance, and epsilon.
      share: weight from 0 to 1 of the picture's own moments.
    """

    mean: np.ndarray
    floor: np.ndarray
    share: float


@dataclasses.dataclass(frozen=True)
class PortableConvolution:
    """One convolution and the normalisation after its activation and pooling; arrays are float32.

    Attributes:
      spec: sizes, stride, padding and pooling.
      kernel: (k, k, c_in, c_out).
      bias: (c_out,) or None.
      gamma, beta, mean, variance: (c_out,).
      own_share: weight from 0 to 1 of a picture's own moments; None where they are not used.
    """

    spec: ConvolutionSpec
    kernel: np.ndarray
    bias: Optional[np.ndarray]
    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    own_share: Optional[float]

    @property
    def folded(self) -> Affine:
        """The whole normalisation, where the support set's moments are all that it uses."""
        scale = self.gamma.astype(np.float64) / np.sqrt(self.variance.astype(np.float64) + EPSILON)
        return Affine(scale.astype(np.float32), (self.beta - scale * self.mean).astype(np.float32))

    @property
    def equalised(self) -> "PortableConvolution":
        """The same function, with kernels that give every channel the spread it has after normalisation.

        Activation and pooling let a positive factor of a channel through, so the kernel can have it. Eight bits for all
        channels together then serve the weak ones as well. Where a picture's own moments count nothing changes.
        """
        if self.own_share is not None:
            return self
        scale = np.abs(self.folded.scale)
        factor = np.where(scale > 0, scale, 1.0).astype(np.float32)
        return dataclasses.replace(
            self,
            kernel=self.kernel * factor,
            bias=None if self.bias is None else self.bias * factor,
            gamma=np.sign(self.gamma),
            mean=self.mean * factor,
            variance=np.full_like(self.variance, 1.0 - EPSILON),
        )

    @property
    def blend(self) -> Optional[Blend]:
        """The normalisation where a picture's own moments have a share, or None; gamma and beta come after it."""
        if self.own_share is None:
            return None
        floor = (1.0 - self.own_share) * self.variance.astype(np.float64) + EPSILON
        return Blend(self.mean, floor.astype(np.float32), self.own_share)


@dataclasses.dataclass(frozen=True)
class PortableCnn:
    """A classifier of pictures (N, H, W, C) with values 0..255, not inverted: probabilities (N, classes).

    Attributes:
      architecture: its layers.
      activation: `relu` or `leaky_relu` (slope 0.01).
      convolutions: in order.
      logits_kernel, logits_bias: (d, classes) and (classes,) float32, before the temperature.
      temperature: what logits are divided by before the softmax.
      invert: whether 255 - x takes the place of x.
    """

    architecture: Architecture
    activation: str
    convolutions: Tuple[PortableConvolution, ...]
    logits_kernel: np.ndarray
    logits_bias: np.ndarray
    temperature: float
    invert: bool

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """(H, W, C) of a picture."""
        return self.architecture.input_shape

    @property
    def equalised(self) -> "PortableCnn":
        """The same function, with convolutions that are `PortableConvolution.equalised`."""
        return dataclasses.replace(self, convolutions=tuple(each.equalised for each in self.convolutions))

    @property
    def pixel_scale(self) -> float:
        """What a pixel is multiplied by after `pixel_offset` was added: x / 128 - 1 of x, or of 255 - x."""
        return -PIXEL_SCALE if self.invert else PIXEL_SCALE

    @property
    def pixel_offset(self) -> float:
        """What is added to a pixel first. Powers of two and whole numbers: the result is exact for whole pixels."""
        return -127.0 if self.invert else -128.0

    @property
    def tempered_kernel(self) -> np.ndarray:
        """The logits layer's kernel (d, classes) float32, divided by the temperature."""
        return (self.logits_kernel / np.float64(self.temperature)).astype(np.float32)

    @property
    def kernel_after_scaling(self) -> np.ndarray:
        """`tempered_kernel` where the first convolution scales the pixels; without convolutions it does so itself."""
        return self.tempered_kernel if self.convolutions else self.tempered_kernel * np.float32(self.pixel_scale)

    @property
    def tempered_bias(self) -> np.ndarray:
        """The logits layer's bias (classes,) float32, divided by the temperature."""
        return (self.logits_bias / np.float64(self.temperature)).astype(np.float32)


def portable_cnn(
    weights: GeneratedWeights, architecture: Architecture, activation: str, temperature: float, invert: bool
) -> PortableCnn:
    """Takes the weights of a single episode out of TensorFlow.

    Args:
      weights: of `HyperTransformer.generate` for one support set, without the axis of the task batch.
      architecture: of the model.
      activation: of the model.
      temperature: above 0.
      invert: whether pictures are inverted first.

    Raises:
      UserError: the weights are of a task batch or of a transductive model, or are not finite.
    """
    convolutions = tuple(
        _portable_convolution(each, spec) for each, spec in zip(weights.convolutions, architecture.convolutions)
    )
    kernel, bias = _array(weights.logits.kernel, 2), _array(weights.logits.bias, 1)
    return PortableCnn(architecture, activation, convolutions, kernel, bias, float(temperature), bool(invert))


def _portable_convolution(weights: ConvolutionWeights, spec: ConvolutionSpec) -> PortableConvolution:
    if weights.statistics is None:
        raise UserError(
            "the model's answers depend on the other pictures it is asked about (cnn.normalisation = 'query'), so no "
            "classifier of its own can be made: use a model trained with cnn.normalisation = 'support' or 'task'."
        )
    statistics = weights.statistics
    return PortableConvolution(
        spec=spec,
        kernel=_array(weights.kernel, 4),
        bias=None if weights.bias is None else _array(weights.bias, 1),
        gamma=_array(weights.gamma, 1),
        beta=_array(weights.beta, 1),
        mean=_array(statistics.mean, 1),
        variance=_array(statistics.variance, 1),
        own_share=None if statistics.own_share is None else float(_array(statistics.own_share, 0)),
    )


def _array(tensor: Any, rank: int) -> np.ndarray:
    array = np.asarray(tensor, dtype=np.float32)
    if array.ndim != rank:
        raise UserError(f"generated weights of shape {array.shape} are not of a single episode: generate from one.")
    if not np.isfinite(array).all():
        raise UserError("the generated weights are not finite: the model is damaged, or its training diverged.")
    return array
