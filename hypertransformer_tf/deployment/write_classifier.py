"""Writing a generated classifier to a directory in every format, each loaded again and compared with the model."""

import os
import pathlib
from typing import Any, Callable, Mapping, Optional, Sequence, Union

import numpy as np

from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.deployment import exported_files as exported
from hypertransformer_tf.deployment.agreement import Reference, agreement, approximation
from hypertransformer_tf.deployment.calibration import Calibration
from hypertransformer_tf.deployment.card import file_list, make_card, write_card
from hypertransformer_tf.deployment.classifier_folder import CARD, LABELS, WEIGHTS
from hypertransformer_tf.deployment.export_onnx import IR_VERSION, OPSET, onnx_classifier
from hypertransformer_tf.deployment.export_saved_model import write_saved_model
from hypertransformer_tf.deployment.export_tflite import int8_tflite_classifier, tflite_classifier
from hypertransformer_tf.deployment.formats import FILES, check_formats
from hypertransformer_tf.deployment.picture_graph import DIFFERENCES
from hypertransformer_tf.deployment.portable_cnn import PortableCnn, portable_cnn
from hypertransformer_tf.deployment.resemblance import support_means
from hypertransformer_tf.deployment.standalone import standalone_model
from hypertransformer_tf.deployment.support_folder import SupportSet
from hypertransformer_tf.deployment.trained_models import TrainedModel
from hypertransformer_tf.deployment.weights_file import weights_file
from hypertransformer_tf.deployment.whole_directory import whole_directory

_MOST_COMPARED = 256  # pictures


def write_classifier(
    directory: Union[str, os.PathLike],
    trained: TrainedModel,
    support: SupportSet,
    calibration: Calibration,
    weights: Optional[GeneratedWeights] = None,
    formats: Optional[Sequence[str]] = None,
    overwrite: bool = False,
    more: Optional[Mapping[str, Any]] = None,
) -> dict[str, Any]:
    """Writes the classifier that a model generates from a support set; the directory appears complete or not at all.

    Args:
      directory: made, with its parents.
      trained: the model.
      support: what the classifier is generated from.
      calibration: of `calibrate` for the same model and support set.
      weights: of `generate` for the same model and support set; generated if unset.
      formats: of `formats.FILES`; all if unset. weights.npz, labels.txt and card.json are always written.
      overwrite: whether a classifier that is there may be replaced.
      more: further values for the card.

    Returns:
      The card.

    Raises:
      UserError: the model is transductive, a format cannot be had, or the directory cannot be used.
      SaveError: the disk is full, or a file gives other answers than the model.
    """
    formats, model = check_formats(formats), trained.model
    if weights is None:
        weights = model.generate(support.model_images(), support.labels, n_way=len(support.class_names))
    cnn = portable_cnn(
        weights,
        model.architecture,
        model.config.cnn.activation,
        calibration.temperature,
        support.preprocessing.invert,
    )
    reference = _reference(trained, support, weights, calibration.temperature)
    with whole_directory(directory, marker=CARD, overwrite=overwrite) as folder:
        (folder / WEIGHTS).write_bytes(weights_file(cnn, support_means(model, support, weights)))
        (folder / LABELS).write_text("".join(f"{name}\n" for name in support.class_names), encoding="utf-8")
        measured = {FILES[name]: _WRITERS[name](cnn, folder / FILES[name], reference) for name in formats}
        card = make_card(
            trained.name,
            trained.sha256,
            model.config.cnn,
            support,
            calibration,
            measured,
            file_list(folder),
            trained.background,
        )
        card.update(more or {})
        card = write_card(folder, card)
    return card


def _reference(trained: TrainedModel, support: SupportSet, weights: GeneratedWeights, temperature: float) -> Reference:
    places = np.linspace(0, len(support.images) - 1, min(len(support.images), _MOST_COMPARED)).astype(int)
    logits = np.asarray(trained.model.classify(support.model_images()[places], weights))
    return Reference(support.images[places], support.labels[places], logits, temperature)


def _write_keras(cnn: PortableCnn, path: pathlib.Path, reference: Reference) -> dict[str, Any]:
    standalone_model(cnn).save(path)
    return agreement(path.name, exported.keras_probabilities(path, _pixels(reference)), reference)


def _write_saved_model(cnn: PortableCnn, path: pathlib.Path, reference: Reference) -> dict[str, Any]:
    write_saved_model(cnn, path)
    pixels = _pixels(reference)
    return {
        "signatures": {
            "serving_default": {
                "inputs": ["images"],
                **agreement(path.name, exported.saved_model_probabilities(path, pixels), reference),
            },
            "encoded": {
                "inputs": ["encoded_images"],
                "decoding": list(DIFFERENCES),
                **agreement(path.name, exported.encoded_probabilities(path, pixels), reference),
            },
        }
    }


def _write_tflite(cnn: PortableCnn, path: pathlib.Path, reference: Reference) -> dict[str, Any]:
    path.write_bytes(tflite_classifier(cnn))
    return agreement(path.name, exported.tflite_probabilities(path, _pixels(reference)), reference)


def _write_tflite_int8(cnn: PortableCnn, path: pathlib.Path, reference: Reference) -> dict[str, Any]:
    path.write_bytes(int8_tflite_classifier(cnn, reference.pictures))
    measured = approximation(exported.tflite_probabilities(path, _pixels(reference)), reference)
    return {"8_bits": "the convolutions; normalisation, logits, input and output are float32", **measured}


def _write_onnx(cnn: PortableCnn, path: pathlib.Path, reference: Reference) -> dict[str, Any]:
    path.write_bytes(onnx_classifier(cnn))
    measured = agreement(path.name, exported.onnx_probabilities(path, _pixels(reference)), reference)
    return {"opset": OPSET, "ir_version": IR_VERSION, **measured}


def _pixels(reference: Reference) -> np.ndarray:
    return reference.pictures.astype(np.float32)


_WRITERS: dict[str, Callable[[PortableCnn, pathlib.Path, Reference], dict[str, Any]]] = {
    "keras": _write_keras,
    "savedmodel": _write_saved_model,
    "tflite": _write_tflite,
    "tflite_int8": _write_tflite_int8,
    "onnx": _write_onnx,
}
