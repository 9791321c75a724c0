"""The encoded pictures of a request: decoded as everywhere, by `deployment/picture_graph.py`, task by task."""

from typing import Tuple

import tensorflow as tf

from hypertransformer_tf.deployment import picture_graph


def decode_pictures(encoded: tf.Tensor, image_shape: Tuple[int, int, int]) -> tf.Tensor:
    """Decodes the pictures of each task.

    An empty string, which a sample that the mask ignores may be, is a black picture.

    Args:
      encoded: (T, N) strings.
      image_shape: (size, size, C), C being 1 or 3.

    Returns:
      (T, N, size, size, C) uint8. The graph fails for a picture that `picture_graph.py` does not read.
    """
    black = tf.io.encode_png(tf.zeros((1, 1, 1), tf.uint8))
    flat = tf.reshape(tf.where(tf.equal(tf.strings.length(encoded), 0), black, encoded), (-1,))
    images = picture_graph.decode_pictures(flat, image_shape[0], image_shape[2])
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
