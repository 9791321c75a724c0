"""What the page does with its classes: generate a classifier, ask it, and pack it for downloading."""

import importlib.util
import pathlib
import shutil
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np

from hypertransformer_tf.demo.named_classes import NamedClasses, support_of
from hypertransformer_tf.deployment.few_shot_classifier import FewShotClassifier
from hypertransformer_tf.deployment.formats import FILES
from hypertransformer_tf.deployment.support_folder import NONE_OF_THESE
from hypertransformer_tf.deployment.trained_models import load_model


class Generation(NamedTuple):
    """A classifier, and a sentence about how it came to be."""

    classifier: FewShotClassifier
    said: str


def generate_classifier(classes: NamedClasses, model: Any) -> Generation:
    """Generates a classifier for the classes, calibrated, so that asking it is quick.

    Args:
      classes: see `named_classes.py`.
      model: as `FewShotClassifier` takes it.

    Raises:
      UserError: classes or model cannot be used.
    """
    images, labels = support_of(classes, load_model(model).model.n_way)
    started = time.perf_counter()
    classifier = FewShotClassifier(model).fit(images, labels)
    seconds = time.perf_counter() - started
    classifier.calibration_  # found when first asked for
    return Generation(
        classifier, f"Generated from {len(labels)} pictures of {len(classes)} classes in {seconds:.2f} s: draw another."
    )


def class_probabilities(classifier: FewShotClassifier, picture: np.ndarray) -> dict[str, float]:
    """Calibrated probability of each class for a picture (H, W, C) uint8."""
    probabilities = classifier.predict_proba(picture[np.newaxis])[0]
    return {str(name): float(value) for name, value in zip(classifier.classes_, probabilities)}


def verdict(classifier: FewShotClassifier, picture: np.ndarray) -> str:
    """The most probable class of a picture (H, W, C) uint8, or "none of these", as bin/predict says it."""
    if classifier.resemblance(picture[np.newaxis])[0] < classifier.threshold_:
        return NONE_OF_THESE
    return str(classifier.predict(picture[np.newaxis])[0])


def pack_classifier(classifier: FewShotClassifier, folder: pathlib.Path) -> pathlib.Path:
    """Writes the classifier's directory, as bin/generate makes it, into a zip file.

    Args:
      classifier: fitted.
      folder: the file comes into a new folder in it, so that visitors of the page do not meet.

    Returns:
      The path of classifier.zip, which holds one folder, `classifier`.

    Raises:
      UserError: a class has a name that cannot be kept.
      SaveError: the disk is full, or a file gives other answers than the model.
    """
    place = pathlib.Path(tempfile.mkdtemp(dir=folder))
    classifier.save(place / "classifier", formats=available_formats())
    archive = shutil.make_archive(str(place / "classifier"), "zip", root_dir=place, base_dir="classifier")
    shutil.rmtree(place / "classifier")
    return pathlib.Path(archive)


def available_formats() -> list[str]:
    """All of bin/generate's formats that can be written here: onnx needs a package."""
    return [name for name in FILES if name != "onnx" or importlib.util.find_spec("onnx") is not None]
