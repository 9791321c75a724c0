"""Requests that TensorFlow Serving runs while it loads a model, so that the first user does not wait for set-up work.

Serving reads them from `assets.extra/tf_serving_warmup_requests`: TFRecords of its own `PredictionLog`.
"""

import pathlib
from typing import Any, Dict, Mapping

import numpy as np
import tensorflow as tf

from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.quiet_import import import_quietly

WARMUP_FILE = "tf_serving_warmup_requests"
_CLASSES = 5
_Arrays = Mapping[str, np.ndarray]


def protos_installed() -> bool:
    """Whether the package `tensorflow-serving-api` is there."""
    try:
        import_quietly("tensorflow_serving.apis.prediction_log_pb2")
    except ImportError:
        return False
    return True


def write_warmup(path: pathlib.Path, model: HyperTransformer, signatures: Mapping[str, Any], name: str) -> None:
    """Writes a request for every signature.

    Args:
      path: the file.
      model: what is served.
      signatures: concrete functions; `classify` is asked with what `generate` answers.
      name: of the served model; Serving does not compare it.
    """
    prediction_log_pb2 = import_quietly("tensorflow_serving.apis.prediction_log_pb2")
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in _requests(model, signatures).items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, array in arrays.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
            writer.write(log.SerializeToString())


def _requests(model: HyperTransformer, signatures: Mapping[str, Any]) -> Dict[str, _Arrays]:
    """One task with a picture of each of some classes, and one query."""
    classes, stream = min(_CLASSES, model.n_way), np.random.default_rng(0)
    images = stream.integers(0, 256, (1, classes) + model.image_shape, dtype=np.uint8)
    labels = np.arange(classes, dtype=np.int32)[np.newaxis]
    given: _Arrays = {"support_labels": labels, "support_mask": np.zeros_like(labels)}
    pictures = np.array([[tf.io.encode_png(image).numpy() for image in images[0]]], object)
    support: _Arrays = {"support_images": images, **given}
    weights = signatures["generate"](**{key: tf.constant(array) for key, array in support.items()})["weights"]
    return {
        "few_shot": {**support, "query_images": images[:, :1]},
        "generate": support,
        "classify": {"weights": weights.numpy(), "query_images": images[:, :1]},
        "few_shot_bytes": {"support_pictures": pictures, **given, "query_pictures": pictures[:, :1]},
    }
