"""Claims about the embedded data set."""

import hashlib

import numpy as np
import pytest

from hypertransformer_tf.data import glyphs
from hypertransformer_tf.data.config import DataConfig


@pytest.fixture(scope="module")
def default():
    return glyphs.load_glyphs(DataConfig())


def test_the_default_set_has_400_classes_of_20_images(default):
    assert default.images.shape == (8000, 28, 28, 1) and default.num_classes == 400
    assert {default.count(c) for c in range(400)} == {20}


def test_strokes_are_black_on_white_paper(default):
    corners = default.images[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert np.mean(corners == 255) > 0.9
    assert np.all(default.images.min(axis=(1, 2, 3)) == 0)  # every image has ink
    assert 0.04 < np.mean(default.images < 128) < 0.2


def test_equal_arguments_give_the_same_bytes_on_every_machine():
    drawn = glyphs.draw_glyphs(4, 3, 20, seed=1).images
    assert hashlib.sha256(np.ascontiguousarray(drawn)).hexdigest()[:16] == "1441ce7f43d1062c"


def test_another_seed_is_another_script():
    assert not np.array_equal(glyphs.draw_glyphs(3, 2, seed=1).images, glyphs.draw_glyphs(3, 2, seed=2).images)


def test_more_samples_do_not_change_those_there_were():
    few, many = glyphs.draw_glyphs(3, 2), glyphs.draw_glyphs(3, 5)
    assert np.array_equal(few.class_images(1), many.class_images(1)[:2])


def test_no_two_images_are_equal(default):
    assert len({image.tobytes() for image in default.images}) == len(default.images)


def test_size_and_channels_are_those_asked_for():
    colour = glyphs.draw_glyphs(2, 2, image_size=40, channels=3).images
    assert colour.shape == (4, 40, 40, 3)
    assert np.array_equal(colour[..., 0], colour[..., 2])


def test_a_larger_picture_shows_the_same_character():
    small, large = (glyphs.draw_glyphs(2, 2, image_size=size).images[..., 0].astype(float) for size in (28, 56))
    shrunk = large.reshape(4, 28, 2, 28, 2).mean(axis=(2, 4))
    assert np.mean(np.abs(shrunk - small)) < 12


def test_every_two_characters_differ_visibly():
    points, roundness, present = glyphs._distinct_characters(glyphs.NUM_CLASSES, glyphs.SEED)
    difference = glyphs._differences(glyphs.glyph_drawing.trace(points * 0.8 + 0.1, roundness), present)
    np.fill_diagonal(difference, 1)
    assert difference.min() >= glyphs._LEAST_DIFFERENCE


def nearest_neighbour_accuracy(images, n_way, episodes, rng):
    right = 0
    for _ in range(episodes):
        classes = rng.choice(images.shape[0], n_way, replace=False)
        support, query = rng.permuted(np.tile(np.arange(images.shape[1]), (n_way, 1)), axis=1)[:, :2].T
        distance = np.sum((images[classes, support] - images[classes[0], query[0]]) ** 2, axis=(1, 2))
        right += distance.argmin() == 0
    return right / episodes


def test_comparing_pixels_is_not_enough(default):
    images = default.images[..., 0].reshape(400, 20, 28, 28).astype(np.float32)
    accuracy = nearest_neighbour_accuracy(images, 5, 3000, np.random.default_rng(0))
    assert 0.3 < accuracy < 0.65  # 5-way 1-shot; chance is 0.2


def test_the_second_load_comes_from_the_cache(default, monkeypatch):
    def draw_again(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr(glyphs, "draw_glyphs", draw_again)
    again = glyphs.load_glyphs(DataConfig())
    assert isinstance(again.images, np.memmap) and np.array_equal(again.images, default.images)


def test_a_script_with_no_room_for_distinct_characters_is_still_complete(monkeypatch):
    monkeypatch.setattr(glyphs, "_LEAST_DIFFERENCE", 2.0)
    assert glyphs.draw_glyphs(10, 1).num_classes == 10
