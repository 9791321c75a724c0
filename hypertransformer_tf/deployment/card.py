"""card.json: all that a person or a program has to know about a generated classifier. Needs no TensorFlow."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any, Mapping, Optional

from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.data.background import common_background
from hypertransformer_tf.deployment.calibration import Calibration
from hypertransformer_tf.deployment.card_checksum import KEY, card_checksum
from hypertransformer_tf.deployment.classifier_folder import CARD, FORMAT_VERSION
from hypertransformer_tf.deployment.support_folder import SupportSet


def make_card(
    name: str,
    sha256: Optional[str],
    cnn: CnnConfig,
    support: SupportSet,
    calibration: Calibration,
    formats: Mapping[str, Any],
    files: Mapping[str, Any],
    background: Optional[str] = None,
) -> dict[str, Any]:
    """The card as JSON values.

    Args:
      name, sha256: of the model that wrote the CNN.
      cnn: settings of the CNN, from which its layout follows.
      support: what it was generated from.
      calibration: temperature, threshold and how they were found.
      formats: by file, what was measured of it.
      files: of `file_list`.
      background: of the pictures the model was trained with; None where it was trained with any.
    """
    size, channels = support.preprocessing.image_size, support.preprocessing.channels
    return {
        "format_version": FORMAT_VERSION,
        "model": {"name": name, "sha256": sha256},
        "cnn": dataclasses.asdict(cnn),
        "preprocessing": support.preprocessing.to_dict(),
        "input": {
            "name": "images",
            "dtype": "float32",
            "shape": ["N", size, size, channels],
            "values": "0 to 255: pictures after the steps of preprocessing up to the square; inversion (if any) and "
            "scale are inside the files",
        },
        "output": {
            "name": "probabilities",
            "dtype": "float32",
            "shape": ["N", len(support.class_names)],
            "values": "softmax of logits / temperature, classes in the order of labels.txt; the temperature is inside "
            "the files, except weights.npz",
        },
        "classes": list(support.class_names),
        "support": [{"file": each.file, "sha256": each.sha256, "class": each.class_name} for each in support.files],
        "background": None if background is None else common_background(support.images),
        "temperature": calibration.temperature,
        "threshold": calibration.threshold,
        "threshold_means": "none of these, where the resemblance is below: the greatest cosine between what the logits "
        "layer reads and a row of class_means in weights.npz; the exported files give probabilities alone",
        "leave_one_out": calibration.leave_one_out(),
        "calibration": calibration.to_dict(),
        "formats": dict(formats),
        "files": dict(files),
    }


def file_list(directory: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file below a directory, by its path with '/'. Raises OSError."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            name = path.relative_to(directory).as_posix()
            files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return files


def write_card(directory: pathlib.Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Writes card.json with its checksum; the card as it was written. Raises OSError."""
    card = {**card, KEY: card_checksum(card)}
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    (directory / CARD).write_text(text + "\n", encoding="utf-8")
    return card
