"""Pictures may be handed over as arrays of several kinds, Pillow pictures or paths; all come out the same."""

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw

from hypertransformer_tf.deployment.picture_arrays import fit_pictures, white_of
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

GREY, COLOUR = Preprocessing(16, 1), Preprocessing(16, 3)
DRAWN = np.stack([draw(0, 0), draw(1, 0), draw(2, 0)])


@pytest.mark.parametrize(
    "pictures",
    [
        DRAWN,
        DRAWN[..., np.newaxis],
        np.repeat(DRAWN[..., np.newaxis], 3, axis=3),
        DRAWN.reshape(3, 256),
        DRAWN.astype(np.int64),
        DRAWN.astype(np.float32),
        DRAWN / 255.0,
        list(DRAWN),
        [Image.fromarray(each) for each in DRAWN],
        tuple(DRAWN[..., np.newaxis]),
    ],
)
def test_all_forms_of_the_same_pictures_are_the_same(pictures):
    fitted = fit_pictures(pictures, GREY)
    assert fitted.dtype == np.uint8
    np.testing.assert_array_equal(fitted, DRAWN[..., np.newaxis])
    np.testing.assert_array_equal(fit_pictures(pictures, COLOUR), np.repeat(DRAWN[..., np.newaxis], 3, axis=3))


def test_paths_of_any_kind(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, pixels in zip(paths, DRAWN):
        Image.fromarray(pixels).save(path)
    for given in (paths, [str(path) for path in paths], np.array([str(path) for path in paths])):
        np.testing.assert_array_equal(fit_pictures(given, GREY)[..., 0], DRAWN)
    with pytest.raises(UserError, match="nothing.png"):
        fit_pictures([paths[0], tmp_path / "nothing.png"], GREY)


def test_pictures_of_different_sizes():
    assert fit_pictures([np.zeros((5, 9), np.uint8), np.zeros((40, 40, 3), np.uint8)], GREY).shape == (2, 16, 16, 1)


def test_the_value_of_white_may_be_any():
    np.testing.assert_array_equal(fit_pictures(DRAWN / 255.0 * 16, GREY, white=16)[..., 0], DRAWN)
    np.testing.assert_array_equal(fit_pictures(DRAWN // 128, GREY, white=1)[..., 0], DRAWN // 128 * 255)
    assert fit_pictures(np.zeros((1, 4, 4)), GREY, white=1.0).max() == 0
    assert white_of(DRAWN / 255.0) == 1.0 and white_of(DRAWN * 1.0) == 255.0 and white_of(DRAWN) is None


@pytest.mark.parametrize(
    "pictures, says",
    [
        (np.zeros((0, 4, 4)), "empty"),
        (np.zeros((2, 5)), "shape"),
        (np.zeros((4, 4, 1)), "single picture"),
        (np.zeros((2, 4, 4, 2)), "shape"),
        (np.full((1, 4, 4), -1.0), "between 0"),
        (np.full((1, 4, 4), 256), "255"),
        (np.full((1, 4, 4), np.nan), "between 0"),
        (np.full((1, 4, 4), "x"), "no picture|cannot be read|paths"),
        ("picture.png", "no sequence"),
        (3, "no sequence"),
    ],
)
def test_what_is_no_pictures_is_refused(pictures, says):
    with pytest.raises(UserError, match=says):
        fit_pictures(pictures, GREY)
