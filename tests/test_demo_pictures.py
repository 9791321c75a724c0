"""Drawings and dropped files as pictures of the model's size."""

import numpy as np
import pytest
from PIL import Image

from hypertransformer_tf.demo.pictures import picture_of_sketch, pictures_of_files
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

GREY, COLOUR = Preprocessing(28, 1), Preprocessing(14, 3)


def _sketch(stroke=(0, 0, 0, 255)):
    pixels = np.zeros((280, 280, 4), np.uint8)
    pixels[100:140, 60:220] = stroke
    return {"background": None, "layers": [pixels], "composite": pixels}


def test_what_is_drawn_is_black_on_white_paper():
    picture = picture_of_sketch(_sketch(), GREY)
    assert picture.shape == (28, 28, 1) and picture.dtype == np.uint8
    expected = np.full((28, 28, 1), 255, np.uint8)
    expected[10:14, 6:22] = 0
    np.testing.assert_array_equal(picture, expected)


def test_colours_are_kept_for_a_model_that_sees_them():
    picture = picture_of_sketch(_sketch((255, 0, 0, 255)), COLOUR)
    assert picture.shape == (14, 14, 3) and set(map(tuple, picture.reshape(-1, 3))) == {(255, 0, 0), (255, 255, 255)}


@pytest.mark.parametrize("sketch", [None, {"composite": None}, _sketch((0, 0, 0, 0)), _sketch((255, 255, 255, 255))])
def test_an_empty_pad_is_no_picture(sketch):
    assert picture_of_sketch(sketch, GREY) is None


def test_files_are_brought_to_size(tmp_path):
    paths = [str(tmp_path / f"{side}.png") for side in (10, 300)]
    for path, side in zip(paths, (10, 300)):
        Image.new("RGB", (side, side), "white").save(path)
    pictures = pictures_of_files(paths, GREY)
    assert [picture.shape for picture in pictures] == [(28, 28, 1)] * 2 and pictures[0].min() == 255
    assert pictures_of_files(None, GREY) == []


def test_a_file_that_is_no_picture_is_called_by_its_name(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(UserError, match="notes.png") as error:
        pictures_of_files([str(tmp_path / "notes.png")], GREY)
    assert str(tmp_path) not in str(error.value) and "\n" not in str(error.value)
