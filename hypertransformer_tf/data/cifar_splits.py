"""CIFAR-FS and FC100: the 100 classes of CIFAR-100, 600 colour images each, in two published splits.

CIFAR-FS (Bertinetto et al., 2019) splits the classes at random, 64 / 16 / 20; FC100 (Oreshkin et al., 2018) by
superclass, 60 / 20 / 20, which makes the test classes less like those of training. Both come from TFDS `cifar100`.
"""

import dataclasses

from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.published_split import published_split
from hypertransformer_tf.data.tfds_source import load_prepared

TFDS_NAME = "cifar100"


def load_cifar_fs(config: DataConfig) -> ImagesByClass:
    """CIFAR-FS; `split_fractions` and `split_seed` are not used. Raises UserError where data is missing."""
    return _load("cifar_fs", config)


def load_fc100(config: DataConfig) -> ImagesByClass:
    """FC100; `split_fractions` and `split_seed` are not used. Raises UserError where data is missing."""
    return _load("fc100", config)


def _load(name: str, config: DataConfig) -> ImagesByClass:
    images = load_prepared(TFDS_NAME, config, splits=("train", "test"))
    split, where = published_split(name), f"TFDS set {TFDS_NAME} in {config.tfds_directory()}"
    splits = split.indices(images.class_names, where)
    for part, classes in splits.items():
        split.check_counts(part, [images.count(c) for c in classes], where)
    return dataclasses.replace(images, name=name, splits=splits)
