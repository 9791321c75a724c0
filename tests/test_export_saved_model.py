"""The SavedModel of a generated CNN."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_cnns import expected_probabilities, make_cnn, random_pictures

from hypertransformer_tf.deployment.export_saved_model import write_saved_model


def _load(cnn, folder):
    write_saved_model(cnn, folder / "savedmodel")
    return tf.saved_model.load(str(folder / "savedmodel")).signatures


def _encoded(picture, kind):
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    cnn = make_cnn("colour, inverted, odd size")
    return cnn, _load(cnn, tmp_path_factory.mktemp("colour"))


def test_float_pictures_are_answered_as_by_the_generated_cnn(colour):
    cnn, signatures = colour
    for count in (1, 6):
        pictures = random_pictures(cnn, count)
        found = signatures["serving_default"](images=tf.constant(pictures, tf.float32))
        assert list(found) == ["probabilities"]
        np.testing.assert_allclose(found["probabilities"], expected_probabilities(cnn, pictures), atol=1e-5)


def test_files_of_any_size_and_kind_are_answered_in_one_batch(colour):
    from hypertransformer_tf.deployment.preprocessing import Preprocessing

    cnn, signatures = colour
    stream = np.random.default_rng(0)
    sizes, kinds = ((40, 70), (21, 21), (5, 9)), ("PNG", "GIF", "PNG")
    files = [
        _encoded(Image.fromarray(stream.integers(0, 256, size, np.uint8)), kind) for size, kind in zip(sizes, kinds)
    ]
    fitted = np.stack([Preprocessing(21, 3).fit_file(io.BytesIO(file), "a file") for file in files])
    found = signatures["encoded"](encoded_images=tf.constant(files))["probabilities"]
    np.testing.assert_allclose(found, expected_probabilities(cnn, fitted), atol=1e-5)


def test_what_is_no_picture_is_an_error_and_the_next_request_is_answered(colour):
    cnn, signatures = colour
    with pytest.raises(tf.errors.InvalidArgumentError, match="none of JPEG, PNG and GIF"):
        signatures["encoded"](encoded_images=tf.constant([b"no picture"]))
    whole = _encoded(Image.fromarray(random_pictures(cnn, 1)[0]), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["encoded"](encoded_images=tf.constant([whole[: len(whole) // 2]]))
    assert signatures["encoded"](encoded_images=tf.constant([whole]))["probabilities"].shape == (1, 5)


def test_writing_says_nothing(tmp_path, capfd):
    write_saved_model(make_cnn(), tmp_path / "savedmodel")
    assert capfd.readouterr().err == ""
