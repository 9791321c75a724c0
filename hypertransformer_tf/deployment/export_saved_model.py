"""A generated CNN as a TensorFlow SavedModel, which TensorFlow Serving and any TensorFlow load without this package.

| signature | input | output |
| --- | --- | --- |
| `serving_default` | `images` (N, H, W, C) float32, 0..255 | `probabilities` (N, classes) float32 |
| `encoded` | `encoded_images` (N,) string: contents of picture files, see `picture_graph.py` | the same |
"""

import os
from typing import Dict

import tensorflow as tf

from hypertransformer_tf.deployment.constant_graph import class_probabilities
from hypertransformer_tf.deployment.picture_graph import decode_pictures
from hypertransformer_tf.deployment.portable_cnn import PortableCnn
from hypertransformer_tf.deployment.quiet_native import native_notes_held_back

DEFAULT, ENCODED = "serving_default", "encoded"


def write_saved_model(cnn: PortableCnn, directory: os.PathLike) -> None:
    """Writes the SavedModel into a new directory. Raises OSError or tf.errors.OpError if it cannot be written."""
    module = _ServedClassifier(cnn)
    with native_notes_held_back():
        tf.saved_model.save(
            module, os.fspath(directory), signatures={DEFAULT: module.classify, ENCODED: module.classify_encoded}
        )


class _ServedClassifier(tf.Module):
    def __init__(self, cnn: PortableCnn):
        super().__init__(name="classifier")
        height, _, channels = cnn.image_shape

        def classify(images: tf.Tensor) -> Dict[str, tf.Tensor]:
            return {"probabilities": class_probabilities(images, cnn)}

        def classify_encoded(encoded_images: tf.Tensor) -> Dict[str, tf.Tensor]:
            images = decode_pictures(encoded_images, height, channels)
            return classify(tf.cast(images, tf.float32))

        pictures = tf.TensorSpec((None, *cnn.image_shape), tf.float32, name="images")
        contents = tf.TensorSpec((None,), tf.string, name="encoded_images")
        self.classify = tf.function(classify, input_signature=[pictures], autograph=False)
        self.classify_encoded = tf.function(classify_encoded, input_signature=[contents], autograph=False)
