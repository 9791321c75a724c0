"""Asking an exported classifier in a process of its own, where importing this library is an error."""

import pathlib
import subprocess
import sys

import numpy as np

_PROGRAM = """
import sys
sys.modules["hypertransformer_tf"] = None
import numpy as np
path, given, result, kind = sys.argv[1:]
pictures = np.load(given)
if kind == "classifier.keras":
    import keras
    found = keras.models.load_model(path)(pictures)
elif kind == "savedmodel":
    import tensorflow as tf
    found = tf.saved_model.load(path).signatures["serving_default"](images=tf.constant(pictures))["probabilities"]
elif kind == "classifier.onnx":
    import onnxruntime
    found = onnxruntime.InferenceSession(path).run(["probabilities"], {"images": pictures})[0]
else:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite import Interpreter
    interpreter = Interpreter(model_path=path)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], pictures.shape)
    found = interpreter.get_signature_runner("serving_default")(images=pictures)["probabilities"]
np.save(result, np.asarray(found))
"""


def answers_without_this_library(path: pathlib.Path, pictures: np.ndarray, folder: pathlib.Path) -> np.ndarray:
    """Probabilities (N, classes) by the file or SavedModel at `path` of pictures (N, H, W, C).

    Args:
      path: named as bin/generate names it.
      pictures: with values 0..255.
      folder: an empty one, in which the process works.
    """
    given, result = folder / "given.npy", folder / "result.npy"
    np.save(given, pictures.astype(np.float32))
    command = [sys.executable, "-c", _PROGRAM, str(path), str(given), str(result), path.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return np.load(result)
