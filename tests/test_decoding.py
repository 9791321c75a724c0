"""Claims about turning pictures and arrays into square uint8 images."""

import io

import numpy as np
import pytest
from PIL import Image

from hypertransformer_tf.data import decoding
from hypertransformer_tf.errors import UserError


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(image, size=8, channels=3, kind="PNG", **options):
    return decoding.decode_image(encode(image, kind, **options), "picture", size, channels)


def test_a_picture_of_the_wanted_form_is_not_changed():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(decode(Image.fromarray(pixels)), pixels)


def test_white_stays_255_and_black_stays_0_in_every_mode():
    for mode in ("1", "L", "RGB", "RGBA", "P", "LA"):
        for value, name in ((255, "white"), (0, "black")):
            assert np.all(decode(Image.new("RGB", (20, 20), name).convert(mode), channels=1) == value), (
                mode,
                name,
            )


def test_colour_becomes_luma_and_grey_becomes_three_equal_channels():
    red = decode(Image.new("RGB", (8, 8), (255, 0, 0)), channels=1)
    assert red.shape == (8, 8, 1) and np.all(red == 76)
    assert np.array_equal(decode(Image.new("L", (8, 8), 90)), np.full((8, 8, 3), 90))


def test_palette_indices_are_looked_up():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(image)[0, 0].tolist() == [10, 20, 30]


def test_transparency_shows_white_paper():
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 4, 8))
    result = decode(half, channels=1)[..., 0]
    assert np.all(result[:, :4] == 0) and np.all(result[:, 4:] == 255)


def test_a_transparent_palette_entry_shows_white_paper():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(image, transparency=1)[0, 0].tolist() == [255, 255, 255]


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    result = decode(Image.fromarray(ramp), channels=1)[..., 0]
    assert np.array_equal(result, np.round(ramp / 257).astype(np.uint8))


def test_the_longer_side_fits_and_the_border_colour_fills_the_rest():
    wide = np.full((10, 20, 3), (10, 200, 30), np.uint8)
    wide[4:6, 8:10] = 255
    result = decode(Image.fromarray(wide), size=10)
    assert result.shape == (10, 10, 3)
    assert np.all(result[[0, 1, 8, 9]] == (10, 200, 30))  # filled above and below
    assert np.all(result[4, 4] == 255)  # half the size, in the middle


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (5, 7)])
def test_very_small_and_very_long_pictures_have_the_wanted_size(size):
    assert decode(Image.new("L", size, 7), size=28, channels=1).shape == (28, 28, 1)


def test_shrinking_averages_so_that_thin_lines_survive():
    lines = np.full((80, 80), 255, np.uint8)
    lines[:, ::10] = 0
    result = decode(Image.fromarray(lines), size=8, channels=1)[..., 0]
    assert np.all(np.abs(result.astype(int) - 229.5) <= 1)  # one pixel in ten is black


def test_enlarging_makes_no_blocks():
    step = np.array([[0, 255]] * 2, np.uint8)
    assert len(np.unique(decode(Image.fromarray(step), size=16, channels=1))) > 4


def test_the_exif_orientation_is_applied():
    left_black = Image.new("L", (16, 16), 255)
    left_black.paste(0, (0, 0, 8, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes top
    result = decode(left_black, size=16, channels=1, kind="JPEG", exif=exif, quality=95)[..., 0]
    assert result[:6].max() < 60 and result[10:].min() > 200


def test_a_large_photograph_shrinks_to_its_mean_colour():
    result = decode(Image.new("RGB", (2000, 1500), (200, 100, 50)), size=20, kind="JPEG")
    assert np.all(np.abs(result.astype(int) - (200, 100, 50)) <= 3)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP", "TIFF"])
def test_other_formats_are_read(kind):
    assert np.all(np.abs(decode(Image.new("RGB", (9, 9), (0, 0, 255)), kind=kind).astype(int) - (0, 0, 255)) <= 3)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("L", (8, 8), value) for value in (255, 0)]
    assert np.all(decode(frames[0], kind="GIF", save_all=True, append_images=frames[1:]) == 255)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_named(content):
    with pytest.raises(UserError, match="^here.png cannot be read as a picture"):
        decoding.decode_image(content, "here.png", 8, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_truncated_picture_is_named(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encode(noise, kind)
    with pytest.raises(UserError, match="^cut cannot be read as a picture"):
        decoding.decode_image(content[: len(content) // 2], "cut", 64, 3)


def png_header_of(width, height):
    """A PNG that claims to be of this size and holds next to nothing."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(9000, 9000), (10000, 12000), (100000, 100000)])
def test_a_picture_of_absurd_size_is_refused_before_it_is_unpacked(size):
    with pytest.raises(UserError, match="^bomb has .*80,000,000"):
        decoding.decode_image(png_header_of(*size), "bomb", 8, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="^gone.png does not exist"):
        decoding.decode_image(tmp_path / "gone.png", "gone.png", 8, 1)


def test_arrays_of_the_wanted_form_are_passed_through():
    images = np.zeros((3, 8, 8, 1), np.uint8)
    assert decoding.fit_array(images, "array", 8, 1) is images


def test_true_is_white():
    images = np.array([True, False])[:, None, None, None] * np.ones((1, 8, 8, 1), bool)
    assert decoding.fit_array(images, "array", 8, 3)[:, 0, 0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("in_channels, in_size", [(1, 8), (3, 8), (4, 8), (1, 20), (3, 20), (4, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_become_what_the_same_picture_would(in_channels, in_size, channels):
    pixels = np.random.default_rng(1).integers(0, 256, (2, in_size, in_size, in_channels), dtype=np.uint8)
    result = decoding.fit_array(pixels, "array", 8, channels)
    for array, image in zip(result, pixels):
        assert np.array_equal(array, decode(Image.fromarray(image.squeeze()), channels=channels))


@pytest.mark.parametrize(
    "images, told",
    [
        (np.zeros((2, 8, 8, 1), np.float32), "float32"),
        (np.zeros((2, 8, 8, 2), np.uint8), "2 channels"),
        (np.zeros((2, 8, 8), np.uint8), r"\(2, 8, 8\)"),
        (np.zeros((2, 0, 8, 1), np.uint8), r"\(2, 0, 8, 1\)"),
    ],
)
def test_arrays_that_are_no_images_are_named(images, told):
    with pytest.raises(UserError, match=f"^that array .*{told}"):
        decoding.fit_array(images, "that array", 8, 1)
