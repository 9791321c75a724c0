"""Claims about CIFAR-FS and FC100, on a small CIFAR-100 made here and on the real one."""

import numpy as np
import pytest

from hypertransformer_tf.data import cifar_splits
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.data.published_split import published_split
from hypertransformer_tf.errors import UserError


def cifar(names, per_class=600):
    images = np.zeros((per_class * len(names), 1, 1, 3), np.uint8)
    return ImagesByClass("cifar100", images, offsets_of([per_class] * len(names)), tuple(names), {})


def prepared(monkeypatch, names, per_class=600):
    asked = []

    def load_prepared(*arguments, **named):
        asked.append((arguments, named))
        return cifar(names, per_class)

    monkeypatch.setattr(cifar_splits, "load_prepared", load_prepared)
    return asked


ALL = sorted(sum(published_split("cifar_fs").classes.values(), []))


@pytest.mark.parametrize("source, sizes", [("cifar_fs", (64, 16, 20)), ("fc100", (60, 20, 20))])
def test_both_parts_of_cifar100_are_split_by_class_name(monkeypatch, source, sizes):
    asked = prepared(monkeypatch, ALL)
    images = load_images(DataConfig(source=source, image_size=1, channels=3))
    assert images.name == source and asked[0][1] == {"splits": ("train", "test")}
    assert tuple(len(classes) for classes in images.splits.values()) == sizes
    for part, names in published_split(source).classes.items():
        assert [images.class_names[c] for c in images.splits[part]] == list(names)


def test_a_class_that_is_not_there_and_a_missing_image_are_named(monkeypatch):
    prepared(monkeypatch, ALL[1:])
    with pytest.raises(UserError, match="lacks the class 'apple'.*prepare it again"):
        load_images(DataConfig(source="fc100"))
    prepared(monkeypatch, ALL, per_class=599)
    with pytest.raises(UserError, match="class of 599 images where each has 600"):
        load_images(DataConfig(source="cifar_fs"))


@pytest.mark.slow
def test_the_real_cifar100_has_all_classes_of_both_splits(shared):
    config = {"data_dir": str(shared / "tfds"), "image_size": 32, "channels": 3}
    first, second = (load_images(DataConfig(source=source, **config)) for source in ("cifar_fs", "fc100"))
    assert first.images.shape == (60000, 32, 32, 3) and isinstance(first.images, np.memmap)
    assert np.array_equal(first.images[::997], second.images[::997])
    assert [len(classes) for classes in second.splits.values()] == [60, 20, 20]
