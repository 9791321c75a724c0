"""Flips, colours and crops of single images: the gin configurable `image_augmentation`.

The operations are those of `tf.image` on uint8 images, in NumPy; elementwise arithmetic and sums of whole numbers only,
so that the images are the same on every machine.
"""

import dataclasses

import numpy as np

import gin
from hypertransformer_tf import config_checks
from hypertransformer_tf.episodes import bilinear
from hypertransformer_tf.episodes.hue import shift_hue
from hypertransformer_tf.episodes.random_stream import RandomStream

_FLIP_PROBABILITY = 0.5
_LARGEST_HUE_SHIFT = 0.2  # of a turn of the colour circle, either way
_LARGEST_BRIGHTNESS = 0.3  # of full scale, either way
_CONTRAST = (0.8, 1.2)
_CROP_SIDE = (0.6, 1.0)  # of the image's side
_FULL_SCALE = 255
_BYTES_AT_ONCE = 2**16  # of float32 planes: several small images share the price of a call, and stay in the cache
_SCALE_BACK = 255.5 / 255  # how `tf.image` turns a result into uint8 again: scaled by this and cut off, not rounded


@gin.configurable("image_augmentation")
@dataclasses.dataclass(frozen=True)
class ImageAugmentationConfig:
    """Whether images are flipped, recoloured and cropped, as for miniImageNet in the paper, or redrawn.

    In this order: left-right flip, hue shift of up to 0.2 of a turn (colour images only),
    brightness of up to +-0.3 of full scale, contrast by 0.8 to 1.2 about each channel's mean,
    crop of 0.6 to 1 of the side, scaled back bilinearly. After each the image is uint8 again.

    Attributes:
      enabled: whether anything is done.
      individually: everything is drawn for each image; False: hue, brightness and contrast once
        for a support set and once for its query set; each image has a flip and a crop of its own.
      redraw_probability: how often, before that and without `enabled` too, the drawings of an
        episode get another pen, frame and number of pixels (`redrawing.py`); not in the paper.

    Raises:
      UserError: a value is not True or False; the probability is outside 0..1.
    """

    enabled: bool = False
    individually: bool = False
    redraw_probability: float = 0.0

    def __post_init__(self) -> None:
        config_checks.require_number_between("image_augmentation.redraw_probability", self.redraw_probability, 0, 1)
        for field in ("enabled", "individually"):
            config_checks.require_flag(f"image_augmentation.{field}", getattr(self, field))

    @property
    def alters(self) -> bool:
        """Whether any alteration can happen."""
        return self.enabled or self.redraw_probability > 0


def augment_images(images: np.ndarray, config: ImageAugmentationConfig, stream: RandomStream) -> np.ndarray:
    """A support set's or a query set's images, altered as `config` says.

    Args:
      images: (N, H, W, C) uint8.

    Returns:
      Images of the same shape and dtype.
    """
    if not config.enabled:
        return images
    number = len(images)
    shape = (number if config.individually else 1,)

    def drawn(name: str, low: float, high: float) -> np.ndarray:
        return np.broadcast_to(stream.child(name).uniform_between(low, high, shape), (number,))

    flips = stream.child("flip").bernoulli(_FLIP_PROBABILITY, (number,))
    hues = drawn("hue", -_LARGEST_HUE_SHIFT, _LARGEST_HUE_SHIFT)
    brightness = drawn("brightness", -_LARGEST_BRIGHTNESS, _LARGEST_BRIGHTNESS) * _FULL_SCALE
    contrasts = drawn("contrast", *_CONTRAST)
    crops = stream.child("crop").uniform((number, 3))
    altered = np.empty_like(images)
    at_once = max(1, _BYTES_AT_ONCE // (images[0].size * np.dtype(np.float32).itemsize))
    for first in range(0, number, at_once):
        part = slice(first, first + at_once)
        planes = images[part].transpose(0, 3, 1, 2).astype(np.float32, order="C")  # fast in planes only
        planes = _recolour(planes, hues[part], brightness[part], contrasts[part])
        cropped = np.stack([_flip_and_crop(*each) for each in zip(planes, flips[part], crops[part])])
        cropped = np.clip(np.rint(cropped, out=cropped), 0, _FULL_SCALE, out=cropped)
        altered[part] = cropped.transpose(0, 2, 3, 1)
    return altered


def _recolour(planes: np.ndarray, hues: np.ndarray, brightness: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """(N, C, H, W) float32 of whole numbers to the same, each image by its own (N,) values; brightness in levels."""
    if planes.shape[1] == 3:
        planes = _as_levels(shift_hue(planes, hues))
    planes += _of_images(brightness)
    planes = _as_levels(planes)
    mean = planes.mean(axis=(2, 3), dtype=np.float64, keepdims=True)  # of whole numbers: exact in any order
    offset = (mean * (1 - contrasts[:, None, None, None])).astype(np.float32)
    planes *= _of_images(contrasts)
    planes += offset
    return _as_levels(planes)


def _of_images(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None, None]


def _as_levels(planes: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to 255, still float32, in place."""
    planes *= np.float32(_SCALE_BACK)
    return np.floor(np.clip(planes, 0, _FULL_SCALE, out=planes), out=planes)


def _flip_and_crop(planes: np.ndarray, flip: bool, crop: np.ndarray) -> np.ndarray:
    """(C, H, W) to the same shape: a part of the mirrored image, scaled up again.

    Args:
      crop: (3,) in [0, 1): the part's size and the place of its upper left corner.
    """
    height, width = planes.shape[1:]
    smallest, largest = _CROP_SIDE
    side = smallest + (largest - smallest) * crop[0]
    h, w = max(1, round(side * height)), max(1, round(side * width))
    top, left = int(crop[1] * (height - h + 1)), int(crop[2] * (width - w + 1))
    columns = bilinear.centres(left, w, width)
    if flip:
        columns = width - 1 - columns
    return bilinear.sample_bilinear(planes, bilinear.centres(top, h, height), columns)
