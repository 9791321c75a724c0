"""The formats that a classifier is exported in. Needs no TensorFlow."""

import importlib.util
from typing import Optional, Sequence, Tuple

from hypertransformer_tf.errors import UserError

FILES = {
    "keras": "classifier.keras",
    "savedmodel": "savedmodel",
    "tflite": "classifier.tflite",
    "tflite_int8": "classifier_int8.tflite",
    "onnx": "classifier.onnx",
}


def check_formats(formats: Optional[Sequence[str]]) -> Tuple[str, ...]:
    """The formats asked for, in their usual order; all of them for None.

    Raises:
      UserError: one is not known, none is given, or one needs a package that is not installed.
    """
    if formats is None:
        formats = tuple(FILES)
    unknown = [name for name in formats if name not in FILES]
    if unknown or not formats:
        said = f"format {unknown[0]!r} is not known" if unknown else "no format is given"
        raise UserError(f"{said}: choose from {', '.join(FILES)}, separated by commas.")
    if "onnx" in formats and importlib.util.find_spec("onnx") is None:
        raise UserError(
            "the format onnx needs the package onnx, which is not installed: install it (pip install onnx), or leave "
            f"it out (--formats={','.join(name for name in FILES if name != 'onnx')})."
        )
    return tuple(name for name in FILES if name in formats)
