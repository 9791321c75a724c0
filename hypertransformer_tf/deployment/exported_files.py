"""Loading an exported classifier again and asking it: what the agreement of the formats is measured with."""

import io
import os
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from hypertransformer_tf.deployment.quiet_native import native_notes_held_back


def keras_probabilities(path: os.PathLike, pictures: np.ndarray) -> np.ndarray:
    """Of a .keras file, for pictures (N, H, W, C) float32, 0..255: (N, classes), as all functions here."""
    return np.asarray(keras.models.load_model(os.fspath(path), compile=False)(pictures))


def saved_model_probabilities(path: os.PathLike, pictures: np.ndarray) -> np.ndarray:
    """Of a SavedModel's default signature."""
    loaded = tf.saved_model.load(os.fspath(path))
    return np.asarray(loaded.signatures["serving_default"](images=tf.constant(pictures))["probabilities"])


def encoded_probabilities(path: os.PathLike, pictures: np.ndarray) -> np.ndarray:
    """Of a SavedModel's signature for encoded pictures, which are handed to it as PNG."""
    loaded = tf.saved_model.load(os.fspath(path))
    encoded = tf.constant([_png(picture) for picture in pictures])
    return np.asarray(loaded.signatures["encoded"](encoded_images=encoded)["probabilities"])


def tflite_probabilities(path: os.PathLike, pictures: np.ndarray) -> np.ndarray:
    """Of a .tflite file, in LiteRT where it is installed, and in TensorFlow's own interpreter otherwise."""
    with native_notes_held_back():
        interpreter = _interpreter()(model_path=os.fspath(path), num_threads=1)
        (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], pictures.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], pictures)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(result["index"]))


def onnx_probabilities(path: os.PathLike, pictures: np.ndarray) -> np.ndarray:
    """Of an .onnx file, in ONNX Runtime where it is installed, and in ONNX's reference program otherwise."""
    content = pathlib.Path(path).read_bytes()
    try:
        import onnxruntime
    except ImportError:
        import onnx.reference

        evaluator: Any = onnx.reference.ReferenceEvaluator(onnx.load_from_string(content))
        return evaluator.run(None, {"images": pictures})[0]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": pictures})[0]


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return tf.lite.Interpreter
    return Interpreter


def _png(picture: np.ndarray) -> bytes:
    pixels = picture.astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return content.getvalue()
