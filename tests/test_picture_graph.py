"""Decoding in a graph gives what `data/decoding.py` gives."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.deployment.picture_graph import decode_picture, decode_pictures

SIZES = ((28, 28), (105, 105), (31, 57), (13, 9), (28, 20), (400, 233), (1, 1), (100, 1))
THIN = ((5, 100), (300, 2), (17, 90))  # Pillow scales some such the other way first, which rounds elsewhere


@pytest.fixture(scope="module")
def decode():
    signature = [tf.TensorSpec((), tf.string)]
    graphs = {
        channels: tf.function(lambda encoded, c=channels: decode_picture(encoded, 28, c), input_signature=signature)
        for channels in (1, 3)
    }
    return lambda encoded, channels: graphs[channels](encoded).numpy()


def _picture(mode, size):
    """Random but smooth, as JPEG blurs hard edges in ways of its own."""
    stream = np.random.default_rng(size)
    coarse = stream.integers(0, 256, (max(1, size[1] // 4), max(1, size[0] // 4), 4), dtype=np.uint8)
    colours = Image.fromarray(coarse, "RGBA").resize(size, Image.Resampling.BICUBIC)
    return colours.convert("RGB").quantize(16) if mode == "P" else colours.convert(mode)


def _encoded(picture, kind, **settings):
    content = io.BytesIO()
    picture.save(content, kind, **settings)
    return content.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind, mode", [("PNG", m) for m in ("L", "LA", "RGB", "RGBA", "P", "1")] + [("GIF", "RGB")])
def test_png_and_gif_give_the_same_pixels(decode, kind, mode, channels):
    for size in SIZES:
        encoded = _encoded(_picture(mode, size), kind)
        expected = decode_image(encoded, "a picture", 28, channels)
        np.testing.assert_array_equal(decode(encoded, channels), expected, err_msg=f"{size}")


@pytest.mark.parametrize("size", THIN)
def test_a_thin_picture_gives_the_same_pixels_within_one_level(decode, size):
    encoded = _encoded(_picture("1", size), "PNG")
    assert np.abs(decode(encoded, 1).astype(int) - decode_image(encoded, "a picture", 28, 1)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_gives_the_same_pixels_within_two_levels(decode, mode):
    for size in (*SIZES, (900, 700)):  # the last is shrunk while it is decoded
        encoded = _encoded(_picture(mode, size), "JPEG", quality=90)
        expected = decode_image(encoded, "a picture", 28, 3)
        assert np.abs(decode(encoded, 3).astype(int) - expected).max() <= 2, size


def test_pictures_of_different_sizes_are_one_batch():
    files = [_encoded(_picture("L", size), "PNG") for size in SIZES]
    batch = decode_pictures(tf.constant(files), 28, 1)
    assert batch.shape == (len(SIZES), 28, 28, 1) and batch.dtype == tf.uint8
    np.testing.assert_array_equal(batch[2], decode_image(files[2], "a picture", 28, 1))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG"])
def test_a_picture_too_large_is_refused_by_its_header(decode, kind):
    side = 9500 if kind == "JPEG" else 4000
    encoded = _encoded(Image.new("L", (side, side)), kind)[:4096]  # the rest is never looked at
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than .* pixels"):
        decode(encoded, 1)


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "none of JPEG, PNG and GIF"),
        (b"BM\x00\x00", "none of JPEG, PNG and GIF"),
        (b"\xfe\xff" + bytes(20), "none of JPEG, PNG and GIF"),
        (b"\x89PNG", "cut short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
        (_encoded(Image.new("L", (9, 9)), "PNG")[:40], "PNG"),
        (b"GIF8", "cut short"),
        (_encoded(Image.new("L", (9, 9)), "GIF")[:20], "GIF"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "JPEG"),
    ],
)
def test_what_is_no_picture_is_refused_without_showing_its_bytes(decode, content, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=says) as refused:
        decode(content, 1)
    assert "\x00" not in refused.value.message and "\\000" not in refused.value.message
