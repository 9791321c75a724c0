"""The general augmentations of a class or an episode: the gin configurable `augmentation`."""

import dataclasses
from typing import Callable

import numpy as np

import gin
from hypertransformer_tf import config_checks
from hypertransformer_tf.episodes import class_transforms
from hypertransformer_tf.episodes.random_stream import RandomStream

_LARGEST_ROLL = 0.3  # of the side, either way
_SMALLEST_SIDE = 0.7  # of the side, when resized
_CONTRAST_ALPHA = (0.5, 2.5)


@gin.configurable("augmentation")
@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Which alterations the images of a class get, the same for its support and query samples.

    They make new classes out of the given ones, in this order; the paper's Omniglot results use
    `rotate_by_90` alone.

    Attributes:
      rotate_by_90: rotate by 0, 90, 180 or 270 degrees, equally likely.
      mirror_probability: how often the images are mirrored left to right.
      rotation_probability: how often the images are rotated by an arbitrary angle.
      angle_range: that angle is uniform in +-angle_range, in degrees.
      roll_probability: how often they are moved cyclically, by up to 0.3 of each side.
      resize_probability: how often they are shrunk, to 0.7 to 1 of the side, on black.
      contrast_probability: how often their contrast is changed.
      smooth_probability: how often they are blurred, by a 3x3 mean.
      negate_probability: how often x becomes 255 - x.
      per_class: everything is drawn for each class of an episode on its own; False: once for
        an episode.

    Raises:
      UserError: a probability is outside 0..1, or the range of angles outside 0..180.
    """

    rotate_by_90: bool = False
    mirror_probability: float = 0.0
    rotation_probability: float = 0.0
    angle_range: float = 180.0
    roll_probability: float = 0.0
    resize_probability: float = 0.0
    contrast_probability: float = 0.0
    smooth_probability: float = 0.0
    negate_probability: float = 0.0
    per_class: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = f"augmentation.{field.name}", getattr(self, field.name)
            if field.name == "angle_range":
                config_checks.require_number_between(name, value, 0, 180)
            elif field.name.endswith("_probability"):
                config_checks.require_number_between(name, value, 0, 1)
            else:
                config_checks.require_flag(name, value)

    @property
    def alters(self) -> bool:
        """Whether any alteration can happen."""
        probabilities = [getattr(self, each.name) for each in dataclasses.fields(self) if "probability" in each.name]
        return self.rotate_by_90 or any(probabilities)


def augment(images: np.ndarray, config: AugmentationConfig, stream: RandomStream) -> np.ndarray:
    """The images of an episode after the augmentations of `config`.

    What happens to a class depends on `stream` and the number of classes only, not on the
    images: further samples of the same classes get the same alterations from an equal stream.

    Args:
      images: (n_way, M, H, W, C) uint8, M samples of each class; H = W with `rotate_by_90`.

    Returns:
      Images of the same shape and dtype.
    """
    draws = _Draws(stream, len(images), config.per_class)
    transforms = class_transforms
    if config.rotate_by_90:
        images = transforms.rotate_by_quarter_turns(images, draws.turns())
    images = draws.apply("mirror", config.mirror_probability, images, lambda chosen, _: transforms.mirror(chosen))
    images = draws.apply(
        "rotation", config.rotation_probability, images, transforms.rotate, -config.angle_range, config.angle_range
    )
    images = draws.apply(
        "roll", config.roll_probability, images, transforms.roll, -_LARGEST_ROLL, _LARGEST_ROLL, axes=(2,)
    )
    images = draws.apply("resize", config.resize_probability, images, transforms.shrink, _SMALLEST_SIDE, 1.0)
    images = draws.apply("contrast", config.contrast_probability, images, transforms.change_contrast, *_CONTRAST_ALPHA)
    images = draws.apply("smooth", config.smooth_probability, images, lambda chosen, _: transforms.smooth(chosen))
    return draws.apply("negate", config.negate_probability, images, lambda chosen, _: transforms.negate(chosen))


class _Draws:
    """Parameters for each class of an episode; each augmentation has a stream of its own."""

    def __init__(self, stream: RandomStream, n_way: int, per_class: bool):
        self._stream = stream
        self._n_way = n_way
        self._count = n_way if per_class else 1

    def turns(self) -> np.ndarray:
        """(n_way,) numbers of right angles."""
        return self._for_classes(self._stream.child("rotate_by_90").integers(0, 4, (self._count,)))

    def apply(
        self,
        name: str,
        probability: float,
        images: np.ndarray,
        transform: Callable[[np.ndarray, np.ndarray], np.ndarray],
        low: float = 0.0,
        high: float = 1.0,
        axes: tuple[int, ...] = (),
    ) -> np.ndarray:
        """Images with `transform` applied to the classes for which `name` is drawn.

        Each gets a parameter of shape `axes`, uniform in [low, high).
        """
        if probability == 0:
            return images
        stream = self._stream.child(name)
        drawn = self._for_classes(stream.bernoulli(probability, (self._count,)))
        values = self._for_classes(stream.uniform_between(low, high, (self._count, *axes)))
        chosen = np.flatnonzero(drawn)
        if not len(chosen):
            return images
        images = images.copy()
        images[chosen] = transform(images[chosen], values[chosen])
        return images

    def _for_classes(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, self._n_way // self._count, axis=0)
