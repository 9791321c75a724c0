"""Encoded pictures to the model's images, inside a graph: PNG and JPEG as `data/decoding.py` reads them.

Differences: the EXIF orientation is not applied, animations are refused as unknown formats, 16-bit PNGs keep their
upper 8 bits, and pictures are limited to MAX_PIXELS, less than elsewhere, because a server decodes several at a time.
"""

from typing import Tuple

import tensorflow as tf

from hypertransformer_tf.serving.request_checks import require
from hypertransformer_tf.serving.resampling import fit_square

MAX_PIXELS = 2**24
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_WHERE_PNG_SAYS_ITS_SIZE = 16  # width and height, 4 bytes each, the highest first; then a byte of bits per value
_PNG_HEADER = 33  # bytes


def decode_pictures(encoded: tf.Tensor, image_shape: Tuple[int, int, int]) -> tf.Tensor:
    """Decodes pictures of any size.

    An empty string, which a sample that the mask ignores may be, is a black picture.

    Args:
      encoded: (T, N) strings.
      image_shape: (size, size, C), C being 1 or 3.

    Returns:
      (T, N, size, size, C) uint8. The graph fails for a picture that is neither PNG nor JPEG, damaged or too large.
    """
    size, _, channels = image_shape
    images = tf.map_fn(
        lambda picture: _decode(picture, size, channels),
        tf.reshape(encoded, (-1,)),
        fn_output_signature=tf.TensorSpec(image_shape, tf.uint8),
    )
    shape = tf.shape(encoded)
    return tf.reshape(images, (shape[0], shape[1]) + tuple(image_shape))


def invert_like(images: tf.Tensor, support: tf.Tensor, mask: tf.Tensor, background: str) -> tf.Tensor:
    """Inverts the images of those tasks whose support set has the opposite background of the model's.

    Args:
      images: (T, N, H, W, C) uint8.
      support: (T, S, H, W, C) uint8; the background is light where most border pixels are above 127.
      mask: (T, S) float32, 1 = does not count.
      background: `light` or `dark`, that of the pictures the model was trained with.
    """
    edges = [support[:, :, 0], support[:, :, -1], support[:, :, :, 0], support[:, :, :, -1]]
    light = tf.cast(tf.concat(edges, axis=2) > 127, tf.float32)  # (T, S, 2 H + 2 W, C)
    shares = tf.reduce_sum(tf.reduce_mean(light, axis=(2, 3)) * (1.0 - mask), axis=1)
    is_light = shares > 0.5 * tf.reduce_sum(1.0 - mask, axis=1)
    opposite = tf.logical_not(is_light) if background == "light" else is_light
    return tf.where(opposite[:, tf.newaxis, tf.newaxis, tf.newaxis, tf.newaxis], 255 - images, images)


def _decode(picture: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    is_png = tf.equal(tf.strings.substr(picture, 0, len(_PNG)), _PNG)
    is_jpeg = tf.equal(tf.strings.substr(picture, 0, len(_JPEG)), _JPEG)
    return tf.case(
        [
            (is_png, lambda: _finish(_png(picture), size, channels)),
            (is_jpeg, lambda: _finish(_jpeg(picture), size, channels)),
        ],
        default=lambda: _nothing(picture, size, channels),
    )


def _png(picture: tf.Tensor) -> tf.Tensor:
    long_enough = tf.strings.length(picture) >= _PNG_HEADER
    # TensorFlow's own error would hold the picture's bytes, which break what shows the error.
    with tf.control_dependencies([require(long_enough, "a PNG picture is cut short")]):
        picture = tf.identity(picture)
    sides = tf.strings.substr(picture, _WHERE_PNG_SAYS_ITS_SIZE, 8)
    width, height = tf.unstack(tf.io.decode_raw(sides, tf.int32, little_endian=False), 2)
    with tf.control_dependencies([_small_enough(width, height)]):
        pixels = tf.io.decode_png(picture, channels=4)
    bits = tf.io.decode_raw(tf.strings.substr(picture, _WHERE_PNG_SAYS_ITS_SIZE + 8, 1), tf.uint8)
    return _on_white(_opaque_if_it_cannot_be_else(pixels, tf.cast(bits, tf.int32)))


def _opaque_if_it_cannot_be_else(pixels: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Mends opaque pictures with under 8 bits per value, to which TensorFlow gives an opacity of 2^bits - 1."""
    most = tf.bitwise.left_shift(1, bits) - 1
    opacity = pixels[..., 3:]
    wrong = tf.logical_and(bits < 8, tf.cast(tf.reduce_max(opacity), tf.int32) <= most)
    return tf.concat([pixels[..., :3], tf.where(wrong, tf.constant(255, tf.uint8), opacity)], axis=-1)


def _jpeg(picture: tf.Tensor) -> tf.Tensor:
    height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(picture))
    with tf.control_dependencies([_small_enough(width, height)]):
        return tf.io.decode_jpeg(picture, channels=3, dct_method="INTEGER_ACCURATE")


def _small_enough(width: tf.Tensor, height: tf.Tensor) -> tf.Operation:
    pixels = tf.cast(width, tf.int64) * tf.cast(height, tf.int64)
    sentence = f"a picture has more than {MAX_PIXELS} pixels; its width and height are"
    return require(tf.logical_and(pixels > 0, pixels <= MAX_PIXELS), sentence, width, height)


def _nothing(picture: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    length = tf.strings.length(picture)
    with tf.control_dependencies([require(length < 1, "a picture is neither PNG nor JPEG; bytes it has:", length)]):
        return tf.zeros((size, size, channels), tf.uint8)


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """(H, W, 4) uint8 with transparency -> (H, W, 3) uint8, rounded as Pillow does."""
    values = tf.cast(pixels, tf.int32)
    colours, opacity = values[..., :3], values[..., 3:]
    mixed = colours * opacity + 255 * (255 - opacity) + 128
    return tf.cast((mixed + mixed // 256) // 256, tf.uint8)


def _finish(pixels: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    return fit_square(_grey(pixels) if channels == 1 else pixels, size)


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    """(H, W, 3) -> (H, W, 1) uint8 by ITU-R 601 in Pillow's integers."""
    weighed = tf.cast(pixels, tf.int32) * tf.constant([19595, 38470, 7471])
    return tf.cast((tf.reduce_sum(weighed, axis=-1, keepdims=True) + 32768) // 65536, tf.uint8)
