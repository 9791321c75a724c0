"""Claims about the form in which image sets are handed over."""

import numpy as np
import pytest

from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of


def make(**changes):
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    parts = dict(
        name="toy",
        images=images,
        offsets=offsets_of([2, 0, 3]),
        class_names=("a", "b", "c"),
        splits={"train": np.array([2]), "validation": np.array([], np.int64), "test": np.array([0])},
    )
    return ImagesByClass(**{**parts, **changes})


def test_a_class_owns_the_images_between_its_offsets():
    toy = make()
    assert toy.num_classes == 3 and toy.image_shape == (2, 3, 1)
    assert [toy.count(c) for c in range(3)] == [2, 0, 3]
    assert toy.class_images(2)[:, 0, 0, 0].tolist() == [2, 3, 4]


def test_class_images_are_a_view_not_a_copy():
    toy = make()
    assert np.shares_memory(toy.class_images(0), toy.images)


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((5, 2, 3, 1), np.float32)},
        {"images": np.zeros((5, 2, 3), np.uint8)},
        {"offsets": np.array([0, 2, 5])},
        {"offsets": np.array([0, 3, 2, 5])},
        {"offsets": np.array([0, 2, 2, 4])},
        {"splits": {"train": np.array([0]), "test": np.array([0])}},
        {"splits": {"train": np.array([3])}},
    ],
)
def test_parts_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ValueError):
        make(**changes)
