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
_SCALE_BACK = 255.5 / 255  # how `tf.image` turns a result into uint8 again: scaled by this and cut off, not rounded


@gin.configurable("image_augmentation")
@dataclasses.dataclass(frozen=True)
class ImageAugmentationConfig:
    """Whether images are flipped, recoloured and cropped, as for miniImageNet in the paper.

    In this order: left-right flip, hue shift of up to 0.2 of a turn (colour images only),
    brightness of up to +-0.3 of full scale, contrast by 0.8 to 1.2 about each channel's mean,
    crop of 0.6 to 1 of the side, scaled back bilinearly. After each the image is uint8 again.

    Attributes:
      enabled: whether anything is done.
      individually: everything is drawn for each image; False: hue, brightness and contrast once
        for a support set and once for its query set; each image has a flip and a crop of its own.

    Raises:
      UserError: a value is not True or False.
    """

    enabled: bool = False
    individually: bool = False

    def __post_init__(self) -> None:
        for field in ("enabled", "individually"):
            config_checks.require_flag(f"image_augmentation.{field}", getattr(self, field))


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
    for index, image in enumerate(images):
        planes = image.transpose(2, 0, 1).astype(np.float32, order="C")  # fast in planes only
        planes = _recolour(planes, hues[index], brightness[index], contrasts[index])
        planes = _flip_and_crop(planes, flips[index], crops[index])
        planes = np.clip(np.rint(planes), 0, _FULL_SCALE).astype(np.uint8)
        np.stack(planes, axis=-1, out=altered[index])
    return altered


def _recolour(planes: np.ndarray, hue: float, brightness: float, contrast: float) -> np.ndarray:
    """(C, H, W) float32 of whole numbers to the same; brightness in grey levels."""
    if len(planes) == 3:
        planes = _as_levels(shift_hue(planes, float(hue)))
    planes = _as_levels(planes + np.float32(brightness))
    mean = planes.mean(axis=(1, 2), dtype=np.float64, keepdims=True)  # of whole numbers: exact in any order
    offset = (mean * (1 - contrast)).astype(np.float32)
    return _as_levels(planes * np.float32(contrast) + offset)


def _as_levels(planes: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to 255, still float32."""
    return np.floor(np.clip(planes * np.float32(_SCALE_BACK), 0, _FULL_SCALE))


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
