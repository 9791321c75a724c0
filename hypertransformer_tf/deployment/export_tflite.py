"""A generated CNN as TensorFlow Lite (LiteRT) files: float32, and with convolutions in 8 bits.

Both have one signature, `serving_default`: `images` (N, H, W, C) float32, 0..255, to `probabilities` (N, classes)
float32; N is 1 until the interpreter is told otherwise.
"""

from typing import Any, Iterator

import numpy as np
import tensorflow as tf

from hypertransformer_tf.deployment.constant_graph import class_probabilities
from hypertransformer_tf.deployment.portable_cnn import PortableCnn
from hypertransformer_tf.deployment.quiet_native import native_notes_held_back
from hypertransformer_tf.deployment.slim_tflite import slim

_MOST_REPRESENTATIVE = 200
# What stays in float32: a normalisation divides by numbers that 8 bits cannot hold, and 8-bit logits or probabilities
# would make ties. Together it is a small part of the work.
_FLOAT_OPERATIONS = ["ADD", "SUB", "MUL", "MEAN", "RSQRT", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]


def tflite_classifier(cnn: PortableCnn) -> bytes:
    """The content of a float32 .tflite file."""
    with native_notes_held_back():
        return slim(_converter(cnn).convert())


def int8_tflite_classifier(cnn: PortableCnn, pictures: np.ndarray) -> bytes:
    """The content of a .tflite file with 8-bit convolutions; what goes in and comes out is float32 all the same.

    Args:
      cnn: the classifier.
      pictures: (N, H, W, C) uint8, not inverted: representative ones, from which ranges of values are measured.
    """
    converter = _converter(cnn.equalised)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    chosen = pictures[np.linspace(0, len(pictures) - 1, min(len(pictures), _MOST_REPRESENTATIVE)).astype(int)]

    def representative() -> Iterator[list[np.ndarray]]:
        for picture in chosen:
            yield [picture[np.newaxis].astype(np.float32)]

    converter.representative_dataset = representative
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_FLOAT_OPERATIONS)
    with native_notes_held_back():
        # The debugger is the converter's one way to leave chosen operations in float32.
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=representative, debug_options=options
        )
        return slim(debugger.get_nondebug_quantized_model())


def _converter(cnn: PortableCnn) -> Any:
    @tf.function(input_signature=[tf.TensorSpec((None, *cnn.image_shape), tf.float32, name="images")])
    def classify(images: tf.Tensor) -> tf.Tensor:
        return class_probabilities(images, cnn)

    return tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], classify)
