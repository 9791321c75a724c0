"""Scaling a picture inside a graph as Pillow scales it for meta-training (`data/decoding.py`).

TensorFlow's own `area` and `bilinear` methods place their samples elsewhere and do not round in between, which shows
in thin strokes. A separable filter is two products with small matrices.
"""

import tensorflow as tf


def fit_square(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """A picture in the middle of a square, on the median colour of its border.

    Args:
      pixels: (H, W, C) uint8, any H and W.
      size: side of the square.

    Returns:
      (size, size, C) uint8; equal to `data/decoding.py` but for rounding, at most 1.
    """
    height, width = tf.unstack(tf.shape(pixels)[:2])
    scale = size / tf.maximum(height, width)
    rows, columns = _scaled(height, scale), _scaled(width, scale)
    values = tf.cast(pixels, tf.float32)
    values = _round(tf.einsum("ow,hwc->hoc", _filter(width, columns, scale), values))
    values = _round(tf.einsum("oh,hwc->owc", _filter(height, rows, scale), values))
    border = _border_colour(pixels)
    top, left = (size - rows) // 2, (size - columns) // 2
    padding = ((top, size - rows - top), (left, size - columns - left), (0, 0))
    square = border + tf.pad(values - border, padding)
    return tf.cast(tf.ensure_shape(square, (size, size, pixels.shape[-1])), tf.uint8)


def _scaled(side: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1, tf.cast(tf.round(tf.cast(side, tf.float64) * scale), tf.int32))


def _filter(source: tf.Tensor, target: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """(target, source) weights of a box when the picture shrinks, of a triangle when it grows."""
    step = tf.cast(source, tf.float64) / tf.cast(target, tf.float64)
    centres = (tf.range(tf.cast(target, tf.float64), dtype=tf.float64) + 0.5) * step
    places = tf.range(tf.cast(source, tf.float64), dtype=tf.float64) + 0.5
    distances = (places[tf.newaxis] - centres[:, tf.newaxis]) / tf.maximum(step, 1.0)
    box = tf.cast(tf.logical_and(distances > -0.5, distances <= 0.5), tf.float64)
    weights = tf.where(scale < 1, box, tf.nn.relu(1.0 - tf.abs(distances)))
    return tf.cast(weights / tf.reduce_sum(weights, axis=1, keepdims=True), tf.float32)


def _round(values: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.floor(values + 0.5), 0.0, 255.0)


def _border_colour(pixels: tf.Tensor) -> tf.Tensor:
    """(C,) float32 median of the outermost pixels, rounded down."""
    edge = tf.concat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]], axis=0)
    ordered = tf.sort(tf.cast(edge, tf.int32), axis=0)
    middle = tf.shape(ordered)[0] // 2  # the number of border pixels is even: corners count twice
    return tf.cast((ordered[middle - 1] + ordered[middle]) // 2, tf.float32)
