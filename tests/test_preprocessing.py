"""Pictures reach a classifier exactly as they reached the model in meta-training."""

import re

import numpy as np
import pytest
from PIL import Image, ImageOps
from small_runs import ROOT

from hypertransformer_tf.data.background import background_of
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.deployment.preprocessing import Preprocessing, should_invert
from hypertransformer_tf.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)


@pytest.fixture(params=["L", "RGB", "RGBA", "LA", "1", "P", "CMYK", "HSV", "I;16"])
def picture(request):
    if request.param == "I;16":
        return Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    return Image.fromarray(PIXELS).convert(request.param)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pillow_picture_is_prepared_as_its_file_would_be_in_training(tmp_path, picture, channels):
    path = tmp_path / f"picture.{'tif' if picture.mode in ('CMYK', 'HSV') else 'png'}"
    (picture.convert("RGB") if picture.mode == "HSV" else picture).save(path)
    in_training = decode_image(path, "it", 20, channels)
    preprocessing = Preprocessing(20, channels)
    np.testing.assert_array_equal(preprocessing.fit(picture), in_training)
    np.testing.assert_array_equal(preprocessing.fit_file(path), in_training)


def test_an_array_is_prepared_as_the_picture_of_it():
    preprocessing = Preprocessing(20, 1)
    np.testing.assert_array_equal(preprocessing.fit(PIXELS), preprocessing.fit(Image.fromarray(PIXELS)))
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(preprocessing.fit(grey), preprocessing.fit(grey[:, :, np.newaxis]))


def test_a_camera_s_orientation_is_applied():
    picture = Image.fromarray(PIXELS)
    picture.getexif()[0x0112] = 6  # to be turned by a quarter
    np.testing.assert_array_equal(
        Preprocessing(41, 3).fit(picture), Preprocessing(41, 3).fit(np.rot90(PIXELS, 3).copy())
    )


def test_inverting_is_the_last_step():
    plain, inverting = Preprocessing(20, 1), Preprocessing(20, 1, invert=True)
    np.testing.assert_array_equal(inverting.apply(PIXELS), 255 - plain.apply(PIXELS))
    np.testing.assert_array_equal(inverting.fit(PIXELS), plain.fit(PIXELS))


@pytest.mark.parametrize(
    "ground, background, inverted",
    [(250, "light", False), (250, "dark", True), (5, "light", True), (5, "dark", False), (250, None, False)],
)
def test_pictures_on_the_other_ground_than_the_model_s_are_inverted(ground, background, inverted):
    images = np.full((3, 8, 8, 1), ground, np.uint8)
    images[:, 2:6, 2:6] = 255 - ground  # what is drawn does not count, only the border
    assert should_invert(images, background) is inverted
    assert background_of(images) == ("light" if ground > 127 else "dark")


def test_a_card_gives_the_same_preprocessing_back_and_says_it_in_words():
    preprocessing = Preprocessing(28, 1, invert=True)
    card = preprocessing.to_dict()
    assert Preprocessing.from_dict(card) == preprocessing
    assert card["scale"] == "x / 128 - 1" and "invert: 255 - x" in card["steps"]


@pytest.mark.parametrize("values", [(0, 1, False), (28, 2, False), (28, 1, "no"), (28.0, 1, False)])
def test_settings_that_cannot_be_are_refused(values):
    with pytest.raises(UserError, match="preprocessing"):
        Preprocessing(*values)


def _decode_smaller(image, step, size):
    if image.format == "JPEG":
        image.draft(None, (2 * size, 2 * size))
        divisor = max([each for each in (8, 4, 2) if each <= min(SIDES["jpg"]) // (2 * size)], default=1)
        assert image.size == tuple(-(-side // divisor) for side in SIDES["jpg"])
    return image


def _sixteen_bit(image, step, size):
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(((255 * np.asarray(image).astype(np.int64) + 32767) // 65535).astype(np.uint8))


def _on_white(image, step, size):
    if image.mode in ("1", "L"):
        return image
    red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA")).astype(float), 2, 0)
    laid = [np.round((alpha * each + (255 - alpha) * 255) / 255) for each in (red, green, blue)]
    return Image.fromarray(np.stack(laid, axis=2).astype(np.uint8))


def _resized(image, step, size):
    longer = max(image.size)
    sides = [max(1, round(side * (size / longer))) for side in image.size]
    how = Image.Resampling.BOX if longer > size else Image.Resampling.BILINEAR
    resized = image if image.size == tuple(sides) else image.resize(sides, how)
    return resized, np.asarray(image)


def _placed(resized_and_before, step, size):
    resized, before = resized_and_before
    edge = np.concatenate([before[0], before[-1], before[:, 0], before[:, -1]])
    square = np.empty((size, size, *before.shape[2:]), np.uint8)
    square[...] = np.floor(np.median(edge, axis=0))
    left, top = (size - resized.width) // 2, (size - resized.height) // 2
    square[top : top + resized.height, left : left + resized.width] = np.asarray(resized)
    return square


# Each step of a card by how it begins, done with Pillow and NumPy alone.
STEPS = {
    "of an animation": lambda image, step, size: image,  # Pillow opens the first frame
    "decode a JPEG": _decode_smaller,
    "apply the EXIF orientation": lambda image, step, size: ImageOps.exif_transpose(image),
    "16-bit grey becomes": _sixteen_bit,
    "put transparent parts on white": _on_white,
    "to 8-bit grey": lambda image, step, size: image.convert("L"),
    "to 8-bit RGB": lambda image, step, size: image.convert("RGB"),
    "resize W x H": _resized,
    "place in a square": _placed,
    "invert: 255 - x": lambda pixels, step, size: 255 - pixels,
    "scale: x / 128 - 1": lambda pixels, step, size: pixels / 128 - 1,
}
SIDES = {"jpg": (1003, 701), "png": (57, 30)}


def _by_the_card(path, card):
    picture = Image.open(path)
    for step in card["steps"]:
        (do,) = [function for begin, function in STEPS.items() if step.startswith(begin)]
        picture = do(picture, step, card["image_size"])
    return picture


def _smooth(width, height, channels, seed):
    """Random pictures that are not only noise, (height, width, channels) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 11, channels), dtype=np.uint8)
    image = Image.merge("RGB", [Image.fromarray(small[..., each % channels]) for each in range(3)])
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))[..., :channels]


@pytest.fixture(params=["large.jpg", "turned.jpg", "sixteen.png", "animation.gif", "odd.png", "alpha.png", "tiny.png"])
def file(request, tmp_path):
    path, name = tmp_path / request.param, request.param
    if name.endswith(".jpg"):
        image = Image.fromarray(_smooth(*SIDES["jpg"], 3, 0))
        image.getexif()[0x0112] = 6 if name == "turned.jpg" else 1
        image.save(path, quality=80, exif=image.getexif())
    elif name == "sixteen.png":
        Image.fromarray(np.random.default_rng(1).integers(0, 65536, (41, 30)).astype(np.uint16)).save(path)
    elif name == "animation.gif":
        frames = [Image.fromarray(_smooth(45, 64, 3, seed)) for seed in (2, 3)]
        frames[0].save(path, save_all=True, append_images=frames[1:])
    else:
        size = (5, 4) if name == "tiny.png" else SIDES["png"]
        Image.fromarray(_smooth(*size, 3, 4) if name != "alpha.png" else PIXELS).save(path)
    if name == "alpha.png":
        opacity = np.random.default_rng(5).integers(0, 256, PIXELS.shape[:2], dtype=np.uint8)
        Image.fromarray(np.dstack([PIXELS, opacity])).save(path)
    return path


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize("size", [28, 32])
def test_what_the_documentation_prepares_is_what_a_classifier_is_asked_about(file, size, channels, mode):
    text = (ROOT / "docs" / "classifiers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    defined = {}
    exec(next(block for block in blocks if "def prepare(" in block), defined)
    if file.name == "sixteen.png":
        with pytest.raises(ValueError, match="more than 8 bits: card.json says what to do"):
            defined["prepare"](file, size, mode)
        return
    found = defined["prepare"](file, size, mode)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, Preprocessing(size, channels).fit_file(file))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32])
def test_who_does_what_the_card_says_gets_the_same_pixels(file, size, channels):
    preprocessing = Preprocessing(size, channels, invert=channels == 1)
    found = _by_the_card(file, preprocessing.to_dict())
    expected = preprocessing.finish(preprocessing.fit_file(file)) / 128 - 1
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
