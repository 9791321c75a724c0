"""Pictures reach a classifier exactly as they reached the model in meta-training."""

import numpy as np
import pytest
from PIL import Image

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
