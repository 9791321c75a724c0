"""Encoded pictures to model pixels as a TensorFlow graph: the twin of `data/decoding.py` for graphs that are served.

It computes what Pillow computes there, in whole numbers: a PNG or GIF gives the same pixels (long thin ones within one
level, as Pillow scales some of them the other way first), a JPEG nearly the same (within two
levels, as JPEG libraries differ). It reads no other formats, and what it does not do is said in `DIFFERENCES`.
"""

import functools
from typing import Callable, Dict

import tensorflow as tf

DIFFERENCES = (
    "JPEG, PNG and GIF only",
    "the EXIF orientation is not applied",
    "transparency counts only where a PNG has an alpha channel",
    "16-bit PNGs are cut to their upper 8 bits",
    "at most 10 million pixels, of a JPEG 80 million",
)

_FIXED_POINT = 2.0**22  # Pillow's resampling weights are whole multiples of its inverse
_PNG, _PNG_WITH_ALPHA, _GIF, _JPEG = 0, 1, 2, 3
# JPEGs are shrunk while they are decoded; of others a pixel takes 50 bytes on its way.
_MOST_PIXELS, _MOST_PIXELS_OF_JPEG = 10_000_000, 80_000_000


def decode_pictures(encoded: tf.Tensor, image_size: int, channels: int) -> tf.Tensor:
    """Decodes, converts and fits pictures.

    Args:
      encoded: (N,) string, the content of JPEG, PNG or GIF (first frame) files.
      image_size: height and width of the result.
      channels: 1 (grey) or 3.

    Returns:
      (N, image_size, image_size, channels) uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run, for a picture that is none, is damaged or has too many pixels.
    """
    pixels = tf.TensorSpec((image_size, image_size, channels), tf.uint8)
    return tf.map_fn(lambda each: decode_picture(each, image_size, channels), encoded, fn_output_signature=pixels)


def decode_picture(encoded: tf.Tensor, image_size: int, channels: int) -> tf.Tensor:
    """`decode_pictures` for one picture: (image_size, image_size, channels) uint8."""
    colours = _on_white(_decode_with_alpha(encoded, image_size))
    pixels = _grey(colours) if channels == 1 else colours
    shape = tf.shape(pixels)[:2]
    scale = tf.cast(image_size, tf.float64) / tf.cast(tf.reduce_max(shape), tf.float64)
    fitted = tf.maximum(1, tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32))
    border = _border_colour(pixels)
    pixels = _resample(_resample(pixels, fitted[1], axis=1), fitted[0], axis=0)
    before = (image_size - fitted) // 2
    after = image_size - fitted - before
    padding = tf.stack([[before[0], after[0]], [before[1], after[1]], [0, 0]])
    inside = tf.pad(tf.ones(tf.concat([fitted, [1]], 0), tf.bool), padding)
    square = tf.where(inside, tf.pad(pixels, padding), border)
    return tf.cast(tf.ensure_shape(square, (image_size, image_size, channels)), tf.uint8)


def _decode_with_alpha(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """(H, W, 4) uint8: red, green, blue and opacity."""
    kind = tf.case(
        [
            (tf.strings.substr(encoded, 0, 4) == b"\x89PNG", lambda: _png_kind(encoded)),
            (tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff", lambda: _jpeg_kind(encoded, image_size)),
        ],
        default=lambda: _gif_kind(encoded),
    )

    def jpeg(ratio: int) -> tf.Tensor:
        return _opaque(tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"))

    branches: Dict[int, Callable[[], tf.Tensor]] = {
        _PNG: lambda: _opaque(tf.io.decode_png(encoded, channels=3)),
        _PNG_WITH_ALPHA: lambda: tf.io.decode_png(encoded, channels=4),
        _GIF: lambda: _opaque(tf.io.decode_image(encoded, channels=3, expand_animations=False)),
    }
    for place, ratio in enumerate((1, 2, 4, 8), _JPEG):
        branches[place] = functools.partial(jpeg, ratio)
    picture = tf.switch_case(kind, branches)
    with tf.control_dependencies([_check_pixels(tf.shape(picture), _MOST_PIXELS)]):
        return tf.ensure_shape(picture, (None, None, 4))


def _png_kind(encoded: tf.Tensor) -> tf.Tensor:
    header = _header(encoded, 26)
    size = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    with tf.control_dependencies([_check_pixels(size, _MOST_PIXELS)]):
        colour_type = tf.io.decode_raw(tf.strings.substr(header, 25, 1), tf.uint8)[0]
    # Asked for four channels, TensorFlow leaves the opacity of pictures without any unset.
    return tf.where(colour_type & 4 == 4, _PNG_WITH_ALPHA, _PNG)


def _gif_kind(encoded: tf.Tensor) -> tf.Tensor:
    is_gif = tf.strings.substr(encoded, 0, 4) == b"GIF8"
    with tf.control_dependencies([tf.debugging.Assert(is_gif, ["a picture is none of JPEG, PNG and GIF"])]):
        size = tf.io.decode_raw(tf.strings.substr(_header(encoded, 10), 6, 4), tf.uint16)
    with tf.control_dependencies([_check_pixels(size, _MOST_PIXELS)]):
        return tf.constant(_GIF)


def _header(encoded: tf.Tensor, length: int) -> tf.Tensor:
    whole = tf.debugging.Assert(tf.strings.length(encoded) >= length, ["a picture is cut short"])
    with tf.control_dependencies([whole]):
        return tf.strings.substr(encoded, 0, length)


def _jpeg_kind(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Large JPEGs are halved up to three times while they are decoded, to no less than twice the wanted size."""
    shape = tf.io.extract_jpeg_shape(encoded)
    with tf.control_dependencies([_check_pixels(shape, _MOST_PIXELS_OF_JPEG)]):
        scale = tf.reduce_min(shape[:2] // (2 * image_size))
    return _JPEG + tf.cast(scale >= 2, tf.int32) + tf.cast(scale >= 4, tf.int32) + tf.cast(scale >= 8, tf.int32)


def _opaque(picture: tf.Tensor) -> tf.Tensor:
    return tf.pad(picture, [[0, 0], [0, 0], [0, 1]], constant_values=255)


def _check_pixels(size: tf.Tensor, most: int) -> tf.Operation:
    """Checks the product of the first two numbers of `size` when the graph runs."""
    size = tf.cast(size[:2], tf.int64)
    message = f"a picture has more than {most:,} pixels, or its header is damaged"
    return tf.debugging.assert_less_equal(
        tf.reduce_max(size) * tf.reduce_min(size), tf.constant(most, tf.int64), message
    )


def _on_white(picture: tf.Tensor) -> tf.Tensor:
    """(H, W, 4) uint8 laid on white: (H, W, 3) int32."""
    colours, opacity = tf.cast(picture[..., :3], tf.int32), tf.cast(picture[..., 3:], tf.int32)
    return (2 * (colours * opacity + 255 * (255 - opacity)) + 255) // 510


def _grey(colours: tf.Tensor) -> tf.Tensor:
    """(H, W, 3) int32 to (H, W, 1): 0.299 R + 0.587 G + 0.114 B in 16 bits, as Pillow has it."""
    weighted = tf.reduce_sum(colours * tf.constant([19595, 38470, 7471]), axis=-1, keepdims=True)
    return (weighted + 0x8000) // 0x10000


def _border_colour(pixels: tf.Tensor) -> tf.Tensor:
    """(C,) int32 median of the outermost pixels of (H, W, C)."""
    edge = tf.sort(tf.concat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]], axis=0), axis=0)
    count = tf.shape(edge)[0]
    return (edge[(count - 1) // 2] + edge[count // 2]) // 2


def _resample(pixels: tf.Tensor, size: tf.Tensor, axis: int) -> tf.Tensor:
    """Brings an axis of (H, W, C) int32 to `size`: by averages when shrinking, linearly when enlarging."""
    length = tf.shape(pixels)[axis]
    weights = _resampling_weights(length, size)  # (size, length)
    # Whole numbers below 2^53 are exact in float64, and its matrix product is the fastest there is for them.
    product = tf.tensordot(weights, tf.cast(pixels, tf.float64), [[1], [axis]])  # (size, ...)
    product = tf.cast(tf.floor((product + _FIXED_POINT / 2) / _FIXED_POINT), tf.int32)
    resampled = product if axis == 0 else tf.transpose(product, (1, 0, 2))
    return tf.cond(size == length, lambda: pixels, lambda: tf.clip_by_value(resampled, 0, 255))


def _resampling_weights(length: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Pillow's weights (size, length) in multiples of 2^-22, as float64."""
    scale = tf.cast(length, tf.float64) / tf.cast(size, tf.float64)
    shrinks = scale > 1.0
    stretch = tf.maximum(scale, 1.0)
    support = tf.where(shrinks, 0.5 * stretch, stretch)
    centres = (tf.range(tf.cast(size, tf.float64), dtype=tf.float64)[:, tf.newaxis] + 0.5) * scale
    places = tf.range(tf.cast(length, tf.float64), dtype=tf.float64)[tf.newaxis]
    first = tf.floor(tf.maximum(centres - support + 0.5, 0.0))
    last = tf.floor(tf.minimum(centres + support + 0.5, tf.cast(length, tf.float64)))
    distances = (places - centres + 0.5) / stretch
    boxes = tf.cast((distances > -0.5) & (distances <= 0.5), tf.float64)
    weights = tf.where(shrinks, boxes, tf.maximum(1.0 - tf.abs(distances), 0.0))
    weights = tf.where((places >= first) & (places < last), weights, 0.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.floor(weights * _FIXED_POINT + 0.5)
