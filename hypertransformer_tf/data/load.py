"""The one door to all image data."""

import dataclasses
from typing import Optional

from hypertransformer_tf.data import (
    arrays,
    cifar_splits,
    folder,
    glyphs,
    leo_embeddings,
    mini_imagenet,
    omniglot,
    tfds_source,
    tiered_imagenet,
)
from hypertransformer_tf.data.class_split import split_by_counts, split_classes
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.errors import UserError

_READERS = {
    "glyphs": glyphs.load_glyphs,
    "omniglot": omniglot.load_omniglot,
    "omniglot_averaged": omniglot.load_omniglot_averaged,
    "tfds": tfds_source.load_tfds,
    "folder": folder.load_folder,
    "arrays": arrays.load_arrays,
    "cifar_fs": cifar_splits.load_cifar_fs,
    "fc100": cifar_splits.load_fc100,
    "mini_imagenet": mini_imagenet.load_mini_imagenet,
    "tiered_imagenet": tiered_imagenet.load_tiered_imagenet,
    "leo_embeddings": leo_embeddings.load_leo_embeddings,
}
_OUTLINES = {
    "glyphs": glyphs.outline_of_glyphs,
    "omniglot": omniglot.outline_of_omniglot,
    "omniglot_averaged": omniglot.outline_of_omniglot,
}


def load_images(config: DataConfig, n_way: int = 1) -> ImagesByClass:
    """Loads the data set that `config.source` names and splits its classes.

    Args:
      config: which set, and how it is to be read.
      n_way: classes of an episode: a random split leaves each of its parts as many, where there are enough.

    Returns:
      (N, image_size, image_size, channels) uint8 images with 'train', 'validation' and 'test' classes (vectors:
      float32): the split that the source brings, otherwise one by `split_counts` or `split_fractions`, and
      `split_seed`.

    Raises:
      UserError: the source is unknown, missing or damaged, has too few classes to split, others than `split_counts`
        add up to, or a split of its own beside them.
    """
    kind, _ = parse_source(config.source)
    return _with_splits(_READERS[kind](config), config, n_way)


def outline_of(config: DataConfig, n_way: int = 1) -> Optional[ImagesByClass]:
    """What `load_images` would give, with blank images, where that is known without reading the set; else None.

    Reading a set for the first time takes long and fills the cache: what asks for too much can be refused before.
    """
    kind, _ = parse_source(config.source)
    return _with_splits(_OUTLINES[kind](config), config, n_way) if kind in _OUTLINES else None


def _with_splits(images: ImagesByClass, config: DataConfig, n_way: int) -> ImagesByClass:
    if images.splits and config.split_counts is not None:
        raise UserError(
            f"data.split_counts = {config.split_counts!r} would have no effect: data.source = {config.source!r} brings "
            "a split of its own; take it out."
        )
    if images.splits:
        return images
    if config.split_counts is not None:
        splits = split_by_counts(images.num_classes, config.split_counts, config.split_seed, config.source)
    else:
        splits = split_classes(images.num_classes, config.split_fractions, config.split_seed, config.source, n_way)
    return dataclasses.replace(images, splits=splits)
