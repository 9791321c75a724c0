"""Dark on light or light on dark: what is said of pictures with paper, and of those without."""

import numpy as np
import pytest

from hypertransformer_tf.data.background import (
    background_of,
    common_background,
    has_light_background,
    training_background,
)
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of


def _images(grounds, channels=1, train=None):
    """A class of two images for each ground, with something bright and something dark in the middle."""
    images = np.repeat(np.array(grounds, np.uint8), 2)[:, None, None, None] * np.ones((1, 6, 6, channels), np.uint8)
    images[:, 2:4, 2], images[:, 2:4, 3] = 0, 255
    splits = {"train": np.array(range(len(grounds)) if train is None else train, np.int64)}
    return ImagesByClass(
        "grounds", images, offsets_of([2] * len(grounds)), tuple(map(str, range(len(grounds)))), splits
    )


@pytest.mark.parametrize("ground, said", [(255, "light"), (128, "light"), (127, "dark"), (0, "dark")])
def test_the_border_decides(ground, said):
    images = _images([ground] * 3)
    assert background_of(images.images) == training_background(images) == said


def test_pictures_that_differ_have_none_in_common_and_few_exceptions_do_not_count():
    assert training_background(_images([255, 0, 255])) is None
    assert training_background(_images([255] * 39 + [0])) == "light"


def test_each_picture_has_its_own():
    assert has_light_background(_images([255, 0]).images).tolist() == [True, True, False, False]
    assert common_background(_images([255, 0]).images) is None and common_background(_images([0]).images) == "dark"


def test_only_the_training_classes_count():
    assert training_background(_images([255, 0, 0], train=[0])) == "light"
    assert training_background(_images([255], train=[])) is None


def test_many_images_are_judged_by_some_of_all_classes():
    assert training_background(_images([255] * 1500 + [0] * 1500)) is None


def test_colour_pictures_and_vectors_have_no_paper():
    assert training_background(_images([255] * 3, channels=3)) is None
    splits = {"train": np.arange(1)}
    assert (
        training_background(ImagesByClass("v", np.ones((2, 1, 1, 1), np.float32), offsets_of([2]), ("a",), splits))
        is None
    )
