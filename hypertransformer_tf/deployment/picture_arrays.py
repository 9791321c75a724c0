"""What users of Python hand over as pictures: arrays of several kinds, Pillow pictures, or paths of files."""

import os
from typing import Any, Optional

import numpy as np
from PIL import Image

from hypertransformer_tf.deployment.picture_files import read_pictures
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

_CHANNELS = (1, 3, 4)


def fit_pictures(pictures: Any, preprocessing: Preprocessing, white: Optional[float] = None) -> np.ndarray:
    """Brings pictures to the form of a model, without inverting.

    Args:
      pictures: (N, H, W) or (N, H, W, 1, 3 or 4) of uint8, bool, integers or floats; (N, H * H), as scikit-learn keeps
        square grey pictures; or a sequence of paths, of Pillow pictures or of arrays (H, W[, C]) of any sizes.
      preprocessing: size and channels.
      white: the value of white in arrays; None is 255, and 1 for floats that are all at most 1.

    Returns:
      (N, size, size, channels) uint8.

    Raises:
      UserError: there are none, they have another shape, values beyond 0 to white, or a file is no picture.
    """
    if not hasattr(pictures, "__len__") or isinstance(pictures, (str, bytes, os.PathLike)):
        raise UserError(f"images = {pictures!r:.80} is no sequence: give an array or a list, even for one picture.")
    if len(pictures) == 0:
        raise UserError("images is empty: give at least one picture.")
    if all(isinstance(picture, (str, os.PathLike)) for picture in pictures):
        return _fit_files([os.fspath(picture) for picture in pictures], preprocessing)
    if isinstance(pictures, np.ndarray) and pictures.dtype != object:
        return _fit_array(pictures, preprocessing, white)
    fitted = [
        preprocessing.fit(picture, f"images[{place}]")
        if isinstance(picture, Image.Image)
        else _fit_array(np.asarray(picture)[np.newaxis], preprocessing, white)[0]
        for place, picture in enumerate(pictures)
    ]
    return np.stack(fitted)


def white_of(pictures: Any) -> Optional[float]:
    """1 for a float array whose values are at most 1, 255 for other float arrays; None for everything else."""
    if isinstance(pictures, np.ndarray) and np.issubdtype(pictures.dtype, np.floating) and pictures.size:
        return 1.0 if pictures.max() <= 1 else 255.0
    return None


def _fit_files(paths: list[str], preprocessing: Preprocessing) -> np.ndarray:
    size, channels = preprocessing.image_size, preprocessing.channels
    fitted = np.empty((len(paths), size, size, channels), np.uint8)
    for place, picture in enumerate(read_pictures(paths, preprocessing)):
        if picture.image is None:
            raise UserError(picture.error)
        fitted[place] = picture.image
    return fitted


def _fit_array(images: np.ndarray, preprocessing: Preprocessing, white: Optional[float]) -> np.ndarray:
    images = _with_channels(images)
    values = _as_bytes(images, white_of(images) if white is None else white)
    return np.stack([preprocessing.fit(image, "images") for image in values])


def _with_channels(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) of any of the shapes that `fit_pictures` takes."""
    side = round(images.shape[1] ** 0.5) if images.ndim == 2 else 0
    if images.ndim == 2 and side and side * side == images.shape[1]:
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3 and 0 not in images.shape and (images.shape[2] not in _CHANNELS or _square(images)):
        return images[..., np.newaxis]
    if images.ndim == 4 and 0 not in images.shape and images.shape[3] in _CHANNELS:
        return images
    hint = ", and a single picture has to stand in a list" if images.ndim == 3 else ""
    raise UserError(
        f"images has shape {images.shape}: (samples, height, width), the same with 1, 3 or 4 channels at the end, or "
        f"(samples, height * height) is needed{hint}."
    )


def _square(images: np.ndarray) -> bool:
    # (H, W, 3) is one colour picture by mistake, but (N, 3, 3) can only be small squares.
    return images.shape[1] == images.shape[2]


def _as_bytes(images: np.ndarray, white: Optional[float]) -> np.ndarray:
    """uint8 or bool, as `Preprocessing.fit` takes it."""
    if images.dtype == np.bool_ or (images.dtype == np.uint8 and white in (None, 255)):
        return images
    if not np.issubdtype(images.dtype, np.integer) and not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"images has values of type {images.dtype}: give uint8, floats, or paths of files.")
    white = 255.0 if white is None else float(white)
    if not (images.min() >= 0 and images.max() <= white):
        raise UserError(
            f"images has values from {images.min():g} to {images.max():g}: they must lie between 0 (black) and "
            f"{white:g} (white); set `white` if it is another value."
        )
    return np.rint(images.astype(np.float64) * (255.0 / white)).astype(np.uint8)
