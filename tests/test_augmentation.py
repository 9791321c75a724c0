"""The general augmentations against one-pixel-at-a-time references, and who gets which."""

import functools
import hashlib
import importlib.util
import math

import numpy as np
import pytest

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes import class_transforms
from hypertransformer_tf.episodes.augmentation import AugmentationConfig, augment
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.random_stream import RandomStream
from hypertransformer_tf.episodes.sampler import EpisodeSampler

SHAPES = [(3, 2, 7, 7, 1), (2, 3, 8, 8, 3)]
PROBABILITIES = ["mirror", "rotation", "roll", "resize", "contrast", "smooth", "negate"]


def random_images(shape):
    return np.random.default_rng(len(shape) + shape[2]).integers(0, 256, shape, dtype=np.uint8)


def each_image(images, change):
    """change(image, class) of every image, by loops."""
    return np.array([[change(image, c) for image in of_class] for c, of_class in enumerate(images)])


def each_channel(image, change):
    """change(plane) of every channel of an image (H, W, C)."""
    return np.stack([change(image[..., c]) for c in range(image.shape[-1])], axis=-1)


def stretched(values, plane):
    low, high = values.min(), values.max()
    return np.rint((values - low) / (high - low) * 255).astype(np.uint8) if high > low else plane


@pytest.mark.parametrize("shape", SHAPES)
def test_quarter_turns_are_those_of_rot90(shape):
    images = random_images(shape)
    for turns in ([0, 1, 2], [3, 3, 1], [2, 0, 2]):
        turns = np.array(turns[: shape[0]])
        np.testing.assert_array_equal(
            class_transforms.rotate_by_quarter_turns(images, turns),
            each_image(images, lambda image, c: np.rot90(image, turns[c])),
        )


@pytest.mark.parametrize("shape", SHAPES + [(3, 2, 6, 9, 1)])
def test_rotation_takes_the_nearest_pixel(shape):
    images = random_images(shape)
    degrees = np.array([31.0, -118.0, 5.0])[: shape[0]]

    def rotated(image, c):
        height, width, _ = image.shape
        result = np.zeros_like(image)
        for i in range(height):
            for j in range(width):
                y, x = i - (height - 1) / 2, j - (width - 1) / 2
                length, angle = math.hypot(x, y), math.atan2(-y, x) - math.radians(degrees[c])
                row = round(-length * math.sin(angle) + (height - 1) / 2)
                column = round(length * math.cos(angle) + (width - 1) / 2)
                if 0 <= row < height and 0 <= column < width:
                    result[i, j] = image[row, column]
        return result

    np.testing.assert_array_equal(class_transforms.rotate(images, degrees), each_image(images, rotated))


def test_rotation_by_90_degrees_is_a_quarter_turn():
    images = random_images(SHAPES[0])
    np.testing.assert_array_equal(
        class_transforms.rotate(images, np.full(3, 90.0)),
        class_transforms.rotate_by_quarter_turns(images, np.full(3, 1)),
    )


@pytest.mark.parametrize("shape", SHAPES + [(3, 2, 6, 9, 1)])
def test_roll_moves_pixels_around(shape):
    images = random_images(shape)
    fractions = np.array([[0.3, -0.3], [-0.1, 0.0], [0.2, 0.22]])[: shape[0]]

    def rolled(image, c):
        height, width, _ = image.shape
        down, right = round(fractions[c, 0] * height), round(fractions[c, 1] * width)
        result = np.empty_like(image)
        for i in range(height):
            for j in range(width):
                result[(i + down) % height, (j + right) % width] = image[i, j]
        return result

    np.testing.assert_array_equal(class_transforms.roll(images, fractions), each_image(images, rolled))


@pytest.mark.parametrize("shape", SHAPES + [(3, 2, 6, 9, 1)])
def test_shrinking_is_bilinear_and_centred_on_black(shape):
    images = random_images(shape)
    factors = np.array([0.7, 0.85, 1.0])[: shape[0]]

    def shrunk(image, c):
        height, width, channels = image.shape
        h, w = round(factors[c] * height), round(factors[c] * width)
        result = np.zeros_like(image)
        for i in range(h):
            for j in range(w):
                y, x = (i + 0.5) * height / h - 0.5, (j + 0.5) * width / w - 0.5
                total = np.zeros(channels)
                for row in range(height):
                    for column in range(width):
                        total += max(0, 1 - abs(row - y)) * max(0, 1 - abs(column - x)) * image[row, column]
                result[i + (height - h) // 2, j + (width - w) // 2] = np.rint(total)
        return result

    difference = class_transforms.shrink(images, factors).astype(int) - each_image(images, shrunk)
    assert np.abs(difference).max() <= 1 and (difference == 0).mean() > 0.99  # halves may round either way


@pytest.mark.parametrize("shape", SHAPES)
def test_contrast_follows_its_formula(shape):
    images = random_images(shape)
    images[0, 0] = 77  # an image without contrast stays
    alphas = np.array([0.5, 2.5, 1.1])[: shape[0]]

    def changed(plane, alpha):
        v = plane / 128 - 1
        return stretched(np.tanh((v - v.mean()) * alpha) / alpha + v.mean(), plane)

    expected = each_image(images, lambda image, c: each_channel(image, lambda plane: changed(plane, alphas[c])))
    np.testing.assert_array_equal(class_transforms.change_contrast(images, alphas), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothing_is_a_3x3_mean_with_black_outside(shape):
    images = random_images(shape)
    images[1, 1] = 0

    def smoothed(plane):
        height, width = plane.shape
        result = np.zeros(plane.shape)
        for i in range(height):
            for j in range(width):
                for row in range(max(0, i - 1), min(height, i + 2)):
                    for column in range(max(0, j - 1), min(width, j + 2)):
                        result[i, j] += plane[row, column]
        return stretched(result, plane)

    expected = each_image(images, lambda image, _: each_channel(image, smoothed))
    np.testing.assert_array_equal(class_transforms.smooth(images), expected)


@pytest.fixture(scope="module")
def tensorflow_addons():
    """TensorFlow Addons, where it is installed: only the older of the two stacks can have it."""
    if importlib.util.find_spec("tensorflow_addons") is None:
        pytest.skip("needs TensorFlow Addons")
    import tensorflow_addons

    return tensorflow_addons


@pytest.mark.parametrize("shape", [(3, 4, 28, 28, 1), (2, 3, 33, 20, 3)])
def test_rotation_is_that_of_tensorflow_addons(tensorflow_addons, shape):
    images, degrees = random_images(shape), np.array([31.0, -118.3, 5.2])[: shape[0]]
    found = class_transforms.rotate(images, degrees)
    for of_class, rotated, angle in zip(images, found, degrees):
        expected = tensorflow_addons.image.rotate(of_class, math.radians(angle), interpolation="nearest").numpy()
        # Its coordinates are float32: a pixel halfway between two may come from the other one.
        assert (rotated == expected).mean() > 0.995


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothing_is_that_of_tensorflow_addons(tensorflow_addons, shape):
    images = random_images(shape)

    def smoothed(image, _):
        mean = tensorflow_addons.image.mean_filter2d(image.astype(np.float32), 3, "CONSTANT", 0.0).numpy()
        return each_channel(mean, lambda plane: stretched(plane, plane))

    difference = class_transforms.smooth(images).astype(int) - each_image(images, smoothed)
    assert np.abs(difference).max() <= 1 and (difference == 0).mean() > 0.99  # halves may round either way


@pytest.mark.parametrize(
    "transform", [lambda images: class_transforms.change_contrast(images, [1.7])] + [class_transforms.smooth]
)
def test_what_stretches_an_image_stretches_each_channel_for_itself(transform):
    images = random_images((1, 2, 8, 8, 3))
    images[..., 1] //= 4  # a dark channel beside bright ones
    channels = [transform(images[..., c : c + 1]) for c in range(3)]
    np.testing.assert_array_equal(transform(images), np.concatenate(channels, axis=-1))
    assert channels[1].max() == 255


@pytest.mark.parametrize("shape", SHAPES + [(3, 2, 6, 9, 1)])
def test_a_mirror_swaps_left_and_right(shape):
    images = random_images(shape)
    expected = each_image(images, lambda image, c: np.fliplr(image))
    np.testing.assert_array_equal(class_transforms.mirror(images), expected)


def test_negation_swaps_black_and_white():
    assert class_transforms.negate(np.array([0, 3, 255], np.uint8)).tolist() == [255, 252, 0]


@pytest.mark.parametrize("name", PROBABILITIES)
def test_each_augmentation_alters_about_its_share_of_the_classes(name):
    images = np.repeat(random_images((1, 1, 9, 9, 1)), 400, axis=0)
    altered = augment(images, AugmentationConfig(**{f"{name}_probability": 0.3}), RandomStream(0))
    assert altered.shape == images.shape and altered.dtype == np.uint8
    share = np.any(altered != images, axis=(1, 2, 3, 4)).mean()
    assert 0.2 < share < 0.38  # a small shift or angle may alter nothing
    np.testing.assert_array_equal(images, random_images((1, 1, 9, 9, 1)).repeat(400, axis=0))


@pytest.mark.parametrize("name", PROBABILITIES)
def test_what_happens_to_a_class_does_not_depend_on_its_images(name):
    config = AugmentationConfig(**{f"{name}_probability": 0.7})
    images = random_images((6, 5, 9, 9, 3))
    whole = augment(images, config, RandomStream(4))
    for part in (slice(0, 2), slice(2, 5)):
        np.testing.assert_array_equal(augment(images[:, part], config, RandomStream(4)), whole[:, part])


def test_one_augmentation_does_not_change_what_another_draws():
    images = random_images((40, 1, 9, 9, 1))
    rolled = augment(images, AugmentationConfig(roll_probability=0.5), RandomStream(1))
    config = AugmentationConfig(roll_probability=0.5, negate_probability=1.0)
    both = augment(images, config, RandomStream(1))
    np.testing.assert_array_equal(255 - both, rolled)


def test_augmentations_come_in_their_order():
    """Black comes in by rotation and shrinking before the negation turns it white."""
    images = np.full((5, 1, 9, 9, 1), 200, np.uint8)
    config = AugmentationConfig(resize_probability=1.0, negate_probability=1.0)
    for altered in augment(images, config, RandomStream(0))[:, 0]:
        assert altered[4, 4] == 55 and set(np.unique(altered)) <= {55, 255}
    config = AugmentationConfig(rotate_by_90=True, roll_probability=1.0)
    images = random_images((30, 1, 10, 10, 1))
    turns = RandomStream(0, "rotate_by_90").integers(0, 4, (30,))
    rotated = class_transforms.rotate_by_quarter_turns(images, turns)
    np.testing.assert_array_equal(
        augment(images, config, RandomStream(0)),
        augment(rotated, AugmentationConfig(roll_probability=1.0), RandomStream(0)),
    )


def test_an_episode_is_altered_as_one_unless_per_class():
    images = np.repeat(random_images((1, 1, 9, 9, 1)), 8, axis=0)
    probabilities = {f"{name}_probability": 0.5 for name in PROBABILITIES}
    seen = set()
    for seed in range(20):
        altered = augment(
            images, AugmentationConfig(rotate_by_90=True, per_class=False, **probabilities), RandomStream(seed)
        )
        assert len(np.unique(altered, axis=0)) == 1
        seen.add(altered[0].tobytes())
    assert len(seen) > 15
    per_class = augment(images, AugmentationConfig(rotate_by_90=True, **probabilities), RandomStream(0))
    assert len(np.unique(per_class, axis=0)) > 5


def test_parameters_stay_in_their_ranges(monkeypatch):
    seen = {}

    def noted(name, images, values):
        seen[name] = values
        return images

    for name in ("rotate", "roll", "shrink", "change_contrast"):
        monkeypatch.setattr(class_transforms, name, functools.partial(noted, name))
    config = AugmentationConfig(
        rotation_probability=1.0,
        roll_probability=1.0,
        resize_probability=1.0,
        contrast_probability=1.0,
        angle_range=30.0,
    )
    augment(np.zeros((500, 1, 2, 2, 1), np.uint8), config, RandomStream(0))
    for name, low, high, shape in (
        ("rotate", -30, 30, (500,)),
        ("roll", -0.3, 0.3, (500, 2)),
        ("shrink", 0.7, 1, (500,)),
        ("change_contrast", 0.5, 2.5, (500,)),
    ):
        assert seen[name].shape == shape
        margin = (high - low) / 50
        assert low <= seen[name].min() < low + margin and high - margin < seen[name].max() < high


def test_an_episode_with_all_augmentations_is_the_same_on_every_machine():
    pixels = RandomStream(0, "pixels").integers(0, 256, (8 * 6, 12, 12, 3)).astype(np.uint8)
    images = ImagesByClass(
        name="noise",
        images=pixels,
        offsets=np.arange(0, 49, 6),
        class_names=tuple("abcdefgh"),
        splits={"train": np.arange(8)},
    )
    config = AugmentationConfig(rotate_by_90=True, **{f"{name}_probability": 0.6 for name in PROBABILITIES})
    digest = hashlib.sha256()
    for individually in (False, True):
        per_image = ImageAugmentationConfig(enabled=True, individually=individually)
        sampler = EpisodeSampler(images, "train", EpisodeConfig(n_way=6), config, per_image, seed=1)
        for field in sampler.task_batch(0, 3):
            digest.update(np.ascontiguousarray(field).tobytes())
    assert digest.hexdigest() == "fed8541f4623269811641b1028aa356248b629934deb6abfb769e6a49cf3665f"


def test_without_augmentations_nothing_is_copied():
    images = random_images(SHAPES[0])
    assert augment(images, AugmentationConfig(), RandomStream(0)) is images
