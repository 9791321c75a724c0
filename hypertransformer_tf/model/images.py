"""From pixels to the values a model computes with."""

import tensorflow as tf


def scale_images(images: tf.Tensor) -> tf.Tensor:
    """uint8 from 0 to 255 as float32 x / 128 - 1 (paper, Section 4); float images are scaled already, and cast."""
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 128.0 - 1.0
    return tf.cast(images, tf.float32)
