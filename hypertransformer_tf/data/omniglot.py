"""Omniglot (Lake et al., 2015): 1623 handwritten characters of 50 alphabets, 20 images each.

Read from TFDS `omniglot:3.0.0`. The classes are split as the authors of the paper split them.
"""

import dataclasses
import random

from hypertransformer_tf.data.class_split import cut
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.tfds_source import load_prepared
from hypertransformer_tf.errors import UserError

NUM_CLASSES = 1623
TFDS_NAME = 'omniglot:3.0.0'
_SPLIT_SEED = 2022
_SPLIT_COUNTS = [1150, 50, 423]  # meta-train, -validation, -test


def load_omniglot(config: DataConfig) -> ImagesByClass:
    """All 32,460 images: white paper 255, black strokes 0, 105 pixels averaged down to `config.image_size`.

    Class c is TFDS label c. The split is fixed; `split_fractions` and `split_seed` are not used.

    Raises:
      UserError: the data is not there, or not all of it.
    """
    images = load_prepared(TFDS_NAME, config, splits=('train', 'test'))
    if images.num_classes != NUM_CLASSES:
        raise UserError(
            f'{TFDS_NAME} in {config.tfds_directory()} holds {images.num_classes} classes instead of '
            f'{NUM_CLASSES}; prepare it again.'
        )
    order = list(range(NUM_CLASSES))
    random.Random(_SPLIT_SEED).shuffle(order)
    return dataclasses.replace(images, name='omniglot', splits=cut(order, _SPLIT_COUNTS))
