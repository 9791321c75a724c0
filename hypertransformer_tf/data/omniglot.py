"""Omniglot (Lake et al., 2015): 1623 handwritten characters of 50 alphabets, 20 images each.

Read from TFDS `omniglot:3.0.0`. The classes are split as the authors of the paper split them.
"""

import dataclasses
import random

import numpy as np

from hypertransformer_tf.data.class_split import cut
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.data.images_by_class import ImagesByClass, blank_set
from hypertransformer_tf.data.tfds_reading import Decode
from hypertransformer_tf.data.tfds_source import load_prepared
from hypertransformer_tf.errors import UserError

NUM_CLASSES = 1623
SAMPLES_PER_CLASS = 20
TFDS_NAME = "omniglot:3.0.0"
_ORIGINAL_SIZE = 105  # pixels
_SPLIT_SEED = 2022
_SPLIT_COUNTS = [1150, 50, 423]  # meta-train, -validation, -test


def load_omniglot(config: DataConfig) -> ImagesByClass:
    """All 32,460 images: white paper 255, black strokes 0, 105 pixels brought to `config.image_size`.

    Class c is TFDS label c. The split is fixed; `split_fractions` and `split_seed` are not used.

    Raises:
      UserError: the data is not there, or not all of it.
    """
    return _load(config, "omniglot", _decode_as_the_authors)


def load_omniglot_averaged(config: DataConfig) -> ImagesByClass:
    """As `load_omniglot`, each pixel the average over what it covers: what `decode_image` makes of any picture.

    For models that are to be given pictures prepared so.
    """
    return _load(config, "omniglot_averaged", decode_image)


def _load(config: DataConfig, name: str, decode: Decode) -> ImagesByClass:
    images = load_prepared(TFDS_NAME, config, splits=("train", "test"), decode=decode)
    if images.num_classes != NUM_CLASSES:
        raise UserError(
            f"{TFDS_NAME} in {config.tfds_directory()} holds {images.num_classes} classes instead of "
            f"{NUM_CLASSES}; prepare it again."
        )
    return _split(dataclasses.replace(images, name=name))


def outline_of_omniglot(config: DataConfig) -> ImagesByClass:
    """The same classes, by number, and their split, with blank images: nothing has to be read for it."""
    names = tuple(map(str, range(NUM_CLASSES)))
    shape = (config.image_size, config.image_size, config.channels)
    return _split(blank_set(config.source, names, SAMPLES_PER_CLASS, shape))


def _split(images: ImagesByClass) -> ImagesByClass:
    order = list(range(NUM_CLASSES))
    random.Random(_SPLIT_SEED).shuffle(order)
    return dataclasses.replace(images, splits=cut(order, _SPLIT_COUNTS))


def _decode_as_the_authors(encoded: bytes, where: str, image_size: int, channels: int) -> np.ndarray:
    """Resizes as TensorFlow 1 did: bilinear between the four nearest pixels, corner on corner, no antialiasing.

    Strokes stay black instead of turning grey, and the model learns from these images sooner than from averaged ones.
    """
    original = decode_image(encoded, where, _ORIGINAL_SIZE, channels).astype(np.float32)
    rows = _between_rows(original, image_size)
    resized = np.swapaxes(_between_rows(np.swapaxes(rows, 0, 1), image_size), 0, 1)
    return np.round(resized).astype(np.uint8)


def _between_rows(image: np.ndarray, count: int) -> np.ndarray:
    positions = np.arange(count) * (len(image) / count)
    above = positions.astype(np.int64)
    below = np.minimum(above + 1, len(image) - 1)
    share = (positions - above).astype(np.float32)[:, np.newaxis, np.newaxis]
    return image[above] * (1 - share) + image[below] * share
