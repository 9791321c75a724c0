"""Drawings redrawn with another pen, frame and number of pixels."""

import numpy as np
import pytest

from hypertransformer_tf.episodes import redrawing
from hypertransformer_tf.episodes.random_stream import RandomStream
from hypertransformer_tf.episodes.redrawing import redraw


def cross(number=4, side=28):
    """Thin light crosses on dark ground, off the middle."""
    drawings = np.zeros((number, side, side, 1), np.uint8)
    drawings[:, 4:15, 9] = 255
    drawings[:, 9, 6:13] = 255
    return drawings


def styled(images, thickening=0, longer_side=0.5, centre=(0.5, 0.5)):
    number = len(images)
    return redrawing._Style(
        np.full(number, thickening), np.full(number, longer_side), np.tile(np.array(centre), (number, 1))
    )


def ink_box(image):
    rows, columns = np.nonzero(image[..., 0] >= redrawing._INK)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize("pixels, width", [(0, 1), (1, 2), (2, 3)])
def test_strokes_become_as_many_pixels_thicker(pixels, width):
    thick = redrawing._thickened(cross(), np.full(4, pixels))
    assert (thick[0, 12, :, 0] == 255).sum() == width
    assert (thick[0, :, 11, 0] == 255).sum() == width


def test_thickening_is_the_largest_value_of_the_neighbourhood():
    images = np.random.default_rng(0).integers(0, 256, (2, 7, 6, 1), dtype=np.uint8)
    thick = redrawing._thickened(images, np.array([2, 1]))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i in range(7):
        for j in range(6):
            assert thick[0, i, j, 0] == padded[0, i : i + 3, j : j + 3].max()
            assert thick[1, i, j, 0] == padded[1, i : i + 2, j : j + 2].max()


@pytest.mark.parametrize("longer_side", [0.5, 0.75, 1.0])
def test_the_drawing_is_as_long_as_asked_for_in_the_middle_and_keeps_its_proportions(longer_side):
    images = cross()
    framed = redrawing._framed(images, styled(images, longer_side=longer_side))
    top, bottom, left, right = ink_box(framed[0])
    assert bottom - top == pytest.approx(longer_side * 28, abs=1.01)
    assert right - left == pytest.approx(longer_side * 28 * 7 / 11, abs=2)
    assert (top + bottom) / 2 == pytest.approx(14, abs=0.51)
    assert (left + right) / 2 == pytest.approx(14, abs=0.51)


def test_a_drawing_that_lies_as_wished_stays_as_it_is():
    images = cross()
    centred = np.zeros_like(images)
    centred[:, 8:19, 10:17] = images[:, 4:15, 6:13]  # 11 rows about 13.0, 7 columns about 13.0
    style = styled(images, longer_side=11 / 28, centre=(13.5 / 28, 13.5 / 28))
    np.testing.assert_array_equal(redrawing._framed(images, style), centred)


def test_an_empty_picture_stays_empty():
    empty = np.zeros((3, 28, 28, 1), np.uint8)
    for seed in range(20):
        assert not redraw(empty, 1.0, RandomStream(seed), RandomStream(seed, "own")).any()


def test_coarse_pictures_have_fewer_pixels_and_the_same_brightest():
    images = cross()
    coarse = redrawing._coarsened(images, 0.25)
    assert coarse.max() == 255
    assert len(np.unique(coarse[0])) > 10  # the edges are blurred
    spectrum = np.abs(np.fft.fft2(coarse[0, :, :, 0].astype(float)))
    assert spectrum[10:18, 10:18].max() < 0.02 * spectrum[0, 0]


def test_ink_on_light_ground_is_redrawn_as_light_ink_on_dark():
    for seed in range(10):
        streams = RandomStream(seed), RandomStream(seed, "own")
        np.testing.assert_array_equal(redraw(255 - cross(), 1.0, *streams), 255 - redraw(cross(), 1.0, *streams))


def test_pictures_of_an_episode_share_a_style_or_have_one_each():
    alike = 0
    for seed in range(200):
        drawn = redraw(cross(), 1.0, RandomStream(seed), RandomStream(seed, "own"))
        alike += all(np.array_equal(drawn[0], each) for each in drawn)
    assert 60 < alike < 140


def test_support_and_query_set_share_the_style_of_their_episode():
    alike = 0
    for seed in range(200):
        sets = [redraw(cross(), 1.0, RandomStream(seed), RandomStream(seed, name)) for name in ("support", "query")]
        alike += np.array_equal(*sets)
    assert 60 < alike < 140


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_episodes_are_redrawn_as_often_as_asked_for(probability):
    images = cross()
    changed = sum(
        not np.array_equal(redraw(images, probability, RandomStream(seed), RandomStream(seed, "own")), images)
        for seed in range(300)
    )
    assert changed / 300 == pytest.approx(probability, abs=0.1)


def test_the_images_do_not_depend_on_the_order_of_summing():
    """Products and sums in float32 are exact, so any matrix product gives the same images."""
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    weights = redrawing._weights(np.array([3.0, 9.2, 14.0]), np.array([0.6, 1.0, 1.7]), np.full(3, 13.5), 28)
    exact = np.einsum("nhi,nijc,nwj->nhwc", weights.astype(np.int64), images.astype(np.int64), weights.astype(np.int64))
    expected = np.minimum(np.rint(exact / redrawing._UNIT**2), 255).astype(np.uint8)
    np.testing.assert_array_equal(redrawing._resampled(images, weights, weights), expected)


def test_colour_pictures_of_any_shape_can_be_redrawn():
    images = np.zeros((2, 20, 30, 3), np.uint8)
    images[:, 5:9, 12:20, 1] = 200
    for seed in range(10):
        drawn = redraw(images, 1.0, RandomStream(seed), RandomStream(seed, "own"))
        assert drawn.shape == images.shape and drawn.dtype == np.uint8
        assert drawn[..., 1].any() and not drawn[..., [0, 2]].any()
