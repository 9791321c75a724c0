"""Pictures decoded inside the graph are those that `data/decoding.py` makes, and what no picture is is refused."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.serving.picture_decoding import decode_pictures, invert_like

STREAM = np.random.default_rng(0)
SIZES = [(28, 28), (105, 105), (60, 31), (17, 90), (9, 12), (1, 1), (300, 2)]


def _picture(mode, size):
    smooth = Image.fromarray(STREAM.integers(0, 256, (5, 4, 4), dtype=np.uint8), "RGBA").resize(size)
    if mode == "P":
        return smooth.convert("RGB").quantize(16)
    return smooth.convert(mode)


def _encoded(picture, format):
    file = io.BytesIO()
    picture.save(file, format, **({"quality": 95} if format == "JPEG" else {}))
    return file.getvalue()


def _decode(encoded, channels, size=28):
    graph = tf.function(lambda pictures: decode_pictures(pictures, (size, size, channels)))
    return graph(tf.constant([[encoded]]))[0, 0].numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "mode, format",
    [("L", "PNG"), ("1", "PNG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "JPEG"), ("RGB", "JPEG")],
)
def test_a_picture_is_prepared_as_for_meta_training(mode, format, channels):
    graph = tf.function(lambda pictures: decode_pictures(pictures, (28, 28, channels)))
    encoded = [_encoded(_picture(mode, size), format) for size in SIZES]
    decoded = graph(tf.constant([encoded]))[0].numpy().astype(int)
    expected = np.stack([decode_image(each, "it", 28, channels) for each in encoded]).astype(int)
    # Pillow lets the JPEG decoder shrink on the way where a picture is more than twice the size, which blurs otherwise.
    shrunk = np.array([format == "JPEG" and max(size) > 4 * 28 for size in SIZES])
    assert np.abs(decoded - expected)[~shrunk].max() <= 1
    assert np.abs(decoded - expected)[shrunk].max(initial=0) <= 16


def test_an_empty_string_is_a_black_picture():
    np.testing.assert_array_equal(_decode(b"", 1), np.zeros((28, 28, 1)))


@pytest.mark.parametrize(
    "encoded, says",
    [
        (b"GIF89a" + bytes(20), "neither PNG nor JPEG"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
        (b"\xfe\xff" + bytes(20), "neither PNG nor JPEG"),
        (_encoded(Image.new("L", (9, 9)), "PNG")[:40], "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(encoded, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        _decode(encoded, 1)


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    encoded = bytearray(_encoded(Image.new("L", (9, 9)), "PNG"))
    encoded[16:24] = struct.pack(">II", 20_000, 20_000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 16777216 pixels.*20000"):
        _decode(bytes(encoded), 1)


@pytest.mark.parametrize("background, inverted", [("light", [False, True]), ("dark", [True, False])])
def test_only_tasks_with_the_opposite_background_are_inverted(background, inverted):
    support = np.stack([np.full((3, 8, 8, 1), 250, np.uint8), np.full((3, 8, 8, 1), 5, np.uint8)])
    support[0, 0], support[1, 0] = 0, 255  # samples that the mask ignores
    support[:, :, 3:5, 3:5] = 127
    images = STREAM.integers(0, 256, (2, 4, 8, 8, 1), dtype=np.uint8)
    mask = tf.constant([[1.0, 0.0, 0.0]] * 2)
    answer = invert_like(tf.constant(images), tf.constant(support), mask, background).numpy()
    for task, turned in enumerate(inverted):
        np.testing.assert_array_equal(answer[task], 255 - images[task] if turned else images[task])
