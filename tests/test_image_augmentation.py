"""Image augmentation against references that go pixel by pixel."""

import colorsys

import numpy as np
import pytest

from hypertransformer_tf.episodes import bilinear, hue, image_augmentation
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig, augment_images
from hypertransformer_tf.episodes.random_stream import RandomStream

TOGETHER = ImageAugmentationConfig(enabled=True)
INDIVIDUALLY = ImageAugmentationConfig(enabled=True, individually=True)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def as_levels(values):
    """What `tf.image` makes of the result of an operation on uint8 images: cut down to whole grey levels."""
    return np.floor(np.clip(values * 255.5 / 255, 0, 255))


def reference(image, flip, shift, brightness, contrast, crop):
    """The augmentations one after the other, in float64, for one image, in whole grey levels up to the crop."""
    height, width, channels = image.shape
    values = image[:, ::-1].astype(float) if flip else image.astype(float)
    if channels == 3:
        for i in range(height):
            for j in range(width):
                h, s, v = colorsys.rgb_to_hsv(*values[i, j] / 255)
                values[i, j] = as_levels(np.multiply(colorsys.hsv_to_rgb((h + shift) % 1, s, v), 255))
    values = as_levels(values + brightness * 255)
    mean = values.mean(axis=(0, 1))
    values = as_levels((values - mean) * contrast + mean)
    top, left, h, w = crop
    values = values[top : top + h, left : left + w]
    result = np.empty(image.shape)
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((j + 0.5) * w / width - 0.5, 0), w - 1)
            row, column = min(int(y), h - 2), min(int(x), w - 2)
            weights = np.outer([row + 1 - y, y - row], [column + 1 - x, x - column])[:, :, None]
            result[i, j] = (weights * values[row : row + 2, column : column + 2]).sum(axis=(0, 1))
    return np.clip(np.rint(result), 0, 255)


def drawn_for(stream, individually, index, count, height, width):
    """The parameters of one image, read from the named streams."""
    shape, own = ((count,), index) if individually else ((1,), 0)

    def draw(name):
        return stream.child(name).uniform(shape)[own]

    crop = stream.child("crop").uniform((count, 3))[index]
    side = 0.6 + 0.4 * crop[0]
    h, w = round(side * height), round(side * width)
    top, left = int(crop[1] * (height - h + 1)), int(crop[2] * (width - w + 1))
    return (
        stream.child("flip").uniform((count,))[index] < 0.5,
        0.4 * draw("hue") - 0.2,
        0.6 * draw("brightness") - 0.3,
        0.8 + 0.4 * draw("contrast"),
        (top, left, h, w),
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("config", [TOGETHER, INDIVIDUALLY])
def test_images_are_those_of_the_reference(config, channels):
    images = random_images(6, 12, 10, channels)
    images[0] = 140
    for seed in range(3):
        stream = RandomStream(seed)
        altered = augment_images(images, config, stream)
        assert altered.dtype == np.uint8
        expected = np.array(
            [reference(image, *drawn_for(stream, config.individually, i, 6, 12, 10)) for i, image in enumerate(images)]
        )
        difference = np.abs(altered - expected)
        assert difference.max() <= 1 and (difference == 0).mean() > 0.99  # halves may round either way


def recolour(planes, *values):
    """`_recolour` for one image."""
    return image_augmentation._recolour(
        np.array(planes[np.newaxis], np.float32), *(np.array([value]) for value in values)
    )[0]


def test_many_images_are_altered_as_one_by_one():
    images = random_images(30, 32, 32, 3)  # more than are altered at once
    stream = RandomStream(4)
    whole = augment_images(images, TOGETHER, stream)
    for number in (7, 16, 23):  # what is drawn for an image depends on how many there are: repeat the others
        others = np.concatenate([np.zeros_like(images[:number]), images[number:]])
        np.testing.assert_array_equal(augment_images(others, TOGETHER, stream)[number:], whole[number:])


@pytest.mark.parametrize(
    "hue_shift, brightness, contrast", [(0.13, 0.2, 1.15), (-0.19, -0.25, 0.83), (0.02, 0.05, 0.9)]
)
def test_colours_are_those_of_tensorflow_level_by_level(hue_shift, brightness, contrast):
    import tensorflow as tf  # here, as the rest of the file needs none

    image = random_images(40, 40, 3)
    theirs = tf.image.adjust_brightness(tf.image.adjust_hue(image, hue_shift), brightness)
    theirs = np.array(tf.image.adjust_contrast(theirs, contrast))
    ours = recolour(image.transpose(2, 0, 1), hue_shift, brightness * 255, contrast).transpose(1, 2, 0)
    assert np.abs(ours - theirs).max() <= 1 and (ours == theirs).mean() > 0.999


def test_white_that_brightness_cut_off_is_no_longer_there_for_contrast():
    planes = np.array([[[100.0, 250.0]]], np.float32)
    assert recolour(planes, 0.0, 55.0, 1.0).tolist() == [[[155.0, 255.0]]]
    spread = recolour(planes, 0.0, 55.0, 0.8)[0, 0]
    assert spread.tolist() == [165.0, 245.0]  # about the mean 205 of (155, 255), not about that of (155, 305)


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.07, 0.2, 1 / 3, 0.9])
def test_hue_turns_as_in_colorsys(shift):
    planes = random_images(3, 20, 20).astype(np.float32)
    planes[:, 0] = planes[0, 0]  # greys
    planes[:, 1] = [[0, 255] * 10, [255, 0] * 10, [0] * 20]  # pure colours
    expected = np.empty_like(planes)
    for i in range(20):
        for j in range(20):
            h, s, v = colorsys.rgb_to_hsv(*(planes[:, i, j].astype(float) / 255))
            expected[:, i, j] = np.multiply(colorsys.hsv_to_rgb((h + shift) % 1, s, v), 255)
    np.testing.assert_allclose(hue.shift_hue(planes[np.newaxis], np.array([shift]))[0], expected, atol=1e-3)


def test_a_crop_of_everything_changes_nothing():
    planes = random_images(3, 9, 7)
    whole = bilinear.sample_bilinear(planes, bilinear.centres(0, 9, 9), bilinear.centres(0, 7, 7))
    np.testing.assert_array_equal(whole, planes)


def test_a_crop_reads_nothing_beyond_itself():
    planes = np.zeros((1, 9, 9))
    planes[:, 2:7, 3:8] = 100
    read = bilinear.sample_bilinear(planes, bilinear.centres(2, 5, 9), bilinear.centres(3, 5, 9))
    np.testing.assert_array_equal(read, np.full((1, 9, 9), 100))


def test_images_are_drawn_for_together_but_for_flip_and_crop():
    images = np.repeat(np.full((1, 8, 8, 3), (90, 120, 150), np.uint8), 12, axis=0)  # a crop shows nothing
    assert len(np.unique(augment_images(images, TOGETHER, RandomStream(0)), axis=0)) == 1
    assert len(np.unique(augment_images(images, INDIVIDUALLY, RandomStream(0)), axis=0)) > 8
    textured = np.repeat(random_images(1, 16, 16, 3), 12, axis=0)
    assert len(np.unique(augment_images(textured, TOGETHER, RandomStream(0)), axis=0)) > 8


@pytest.mark.parametrize("config", [TOGETHER, INDIVIDUALLY])
def test_about_half_of_the_images_are_flipped_each_on_its_own(monkeypatch, config):
    monkeypatch.setattr(image_augmentation, "_CROP_SIDE", (1.0, 1.0))
    ramp = np.repeat(np.linspace(50, 200, 8).astype(np.uint8).reshape(1, 1, 8, 1), 8, axis=1)
    altered = augment_images(np.repeat(ramp, 300, axis=0), config, RandomStream(0)).astype(int)
    assert 0.4 < (altered[:, 0, 0, 0] > altered[:, 0, -1, 0]).mean() < 0.6


def test_bright_and_dark_values_are_cut_off_not_wrapped(monkeypatch):
    monkeypatch.setattr(image_augmentation, "_CROP_SIDE", (1.0, 1.0))
    images = np.repeat(np.array([[0, 255]], np.uint8).reshape(1, 1, 2, 1), 300, axis=0).repeat(4, axis=1)
    altered = augment_images(images, INDIVIDUALLY, RandomStream(0)).astype(int)
    assert np.abs(altered.max(axis=(1, 2, 3)) - altered.min(axis=(1, 2, 3))).min() > 120


def test_nothing_happens_unless_enabled():
    images = random_images(3, 8, 8, 3)
    assert augment_images(images, ImageAugmentationConfig(), RandomStream(0)) is images
    before = images.copy()
    augment_images(images, TOGETHER, RandomStream(0))
    np.testing.assert_array_equal(images, before)
