"""A classifier that was written to a directory: reading it, with every check, and asking it about pictures.

Of the directory that bin/generate makes card.json, labels.txt and weights.npz are used; the exported formats beside
them are only compared with the card. TensorFlow is imported when the first picture is asked about.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import zipfile
from typing import Any, Mapping, NamedTuple, Optional, Union

import numpy as np

from hypertransformer_tf.cnn.architecture import Architecture, build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.config_checks import require_one_of
from hypertransformer_tf.data.background import BACKGROUNDS
from hypertransformer_tf.deployment.calibration import softmax
from hypertransformer_tf.deployment.card_checksum import KEY, card_checksum
from hypertransformer_tf.deployment.listed_files import changed_file
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.deployment.resemblance import resemblance_to_classes
from hypertransformer_tf.deployment.support_folder import NONE_OF_THESE
from hypertransformer_tf.deployment.weights_file import read_weights
from hypertransformer_tf.errors import UserError, plain_sentence
from hypertransformer_tf.quiet_import import import_quietly

FORMAT_VERSION = 2
CARD, LABELS, WEIGHTS = "card.json", "labels.txt", "weights.npz"


class Answers(NamedTuple):
    """What a classifier says of N pictures.

    Attributes:
      logits: (N, n_classes) float32.
      probabilities: (N, n_classes) float64, calibrated.
      resemblance: (N,) from 0 to 1, that to the class which each resembles most; see `resemblance.py`.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    resemblance: np.ndarray


@dataclasses.dataclass(frozen=True)
class GeneratedClassifier:
    """A generated CNN with all that is needed to use it.

    Attributes:
      class_names: in the order of the probabilities.
      preprocessing: how pictures are prepared.
      temperature: of the probabilities.
      threshold: "none of these" where the resemblance to the classes is below.
      cnn: settings of the CNN.
      arrays: its weights, by the names in weights.npz.
      card: everything that card.json says.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    threshold: float
    cnn: CnnConfig
    arrays: Mapping[str, np.ndarray]
    card: Mapping[str, Any]

    @property
    def model_name(self) -> str:
        """Of the model that generated it; "" where the card does not say."""
        model = self.card.get("model")
        return str(model.get("name", "")) if isinstance(model, Mapping) else ""

    @property
    def background(self) -> Optional[str]:
        """Of the pictures that it was made from, before any inversion: 'light' or 'dark'.

        None where they differ, where the model was trained with any, and where the card does not say.
        """
        return self.card.get("background")

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (N, n_classes) float64 of pictures (N, size, size, C) uint8, fitted but not inverted."""
        return self.ask(images).probabilities

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (N, n_classes) float32 of pictures (N, size, size, C) uint8, fitted but not inverted."""
        return self.ask(images).logits

    def ask(self, images: np.ndarray) -> Answers:
        """All that the classifier says of pictures (N, size, size, C) uint8, fitted but not inverted."""
        import_quietly("tensorflow")
        from hypertransformer_tf.cnn.run import read_features, run_convolutions, run_logits
        from hypertransformer_tf.model.images import scale_images

        images = scale_images(np.asarray(self.preprocessing.finish(images))[np.newaxis])
        last_map, _ = run_convolutions(images, self._weights, self._architecture, self.cnn.activation)
        logits = np.asarray(run_logits(last_map, self._weights.logits, self._architecture.logits))[0]
        features = np.asarray(read_features(last_map, self._architecture.logits))[0]
        resemblance = resemblance_to_classes(features, self.arrays["class_means"]).max(axis=1)
        return Answers(logits, softmax(logits / self.temperature), resemblance)

    def answer(self, probabilities: np.ndarray, resemblance: float, threshold: Optional[float] = None) -> str:
        """The most probable class (of n_classes), or "none of these"; `threshold` 0: always a class."""
        least = self.threshold if threshold is None else threshold
        return self.class_names[int(np.argmax(probabilities))] if resemblance >= least else NONE_OF_THESE

    @functools.cached_property
    def _architecture(self) -> Architecture:
        return _architecture(self.cnn, self.preprocessing)

    @functools.cached_property
    def _weights(self) -> Any:
        from hypertransformer_tf.deployment.weights_reading import weights_from_arrays

        return weights_from_arrays(self.arrays, self._architecture)


def read_classifier(directory: Union[str, os.PathLike]) -> GeneratedClassifier:
    """Reads a classifier's directory.

    Raises:
      UserError: it is none, a file that is used is missing, or a file, that of a format too, is not the one that the
        card names.
    """
    directory = pathlib.Path(directory)
    card = _read_card(directory)
    labels, weights = (_read_checked(directory, name, card) for name in (LABELS, WEIGHTS))
    _check_listed(directory, card)
    try:
        classifier = GeneratedClassifier(
            class_names=tuple(labels.decode("utf-8").splitlines()),
            preprocessing=Preprocessing.from_dict(card["preprocessing"]),
            temperature=float(card["temperature"]),
            threshold=float(card["threshold"]),
            cnn=CnnConfig(**card["cnn"]),
            arrays=read_weights(weights),
            card=card,
        )
        _check_whole(classifier)
    except UserError as error:
        raise _damaged(directory, f"{CARD}: {plain_sentence(error).rstrip('.')}") from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(directory, f"{CARD} or {WEIGHTS} is not as it was written: {plain_sentence(error)}") from error
    return classifier


def _read_card(directory: pathlib.Path) -> dict[str, Any]:
    try:
        card = json.loads((directory / CARD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{shown(str(directory))} is no classifier (no {CARD} in it): give the directory that bin/generate made."
        ) from None
    except OSError as error:
        raise _cannot_read(directory, error) from error
    except ValueError as error:
        raise _damaged(directory, f"{CARD} is no JSON") from error
    if not isinstance(card, dict) or "format_version" not in card:
        raise _damaged(directory, f"{CARD} is not that of a classifier")
    if card["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"Classifier {shown(str(directory))} has format version {card['format_version']!r} and this library reads "
            f"{FORMAT_VERSION}: use the version of the library that wrote it, or generate it again."
        )
    if card.get(KEY) != _checksum(card):
        raise _damaged(directory, f"{CARD} is not as it was written, its own SHA-256 differs")
    return card


def _checksum(card: Mapping[str, Any]) -> str:
    try:
        return card_checksum(card)
    except ValueError:  # Python reads NaN and Infinity, which are no JSON
        return ""


def _read_checked(directory: pathlib.Path, name: str, card: Mapping[str, Any]) -> bytes:
    """The content of a file of the directory, if it is the one that the card names."""
    try:
        expected = card["files"][name]["sha256"]
    except (KeyError, TypeError):
        raise _damaged(directory, f"{CARD} does not name {name}") from None
    try:
        content = (directory / name).read_bytes()
    except OSError as error:
        raise _cannot_read(directory, error) from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise _damaged(directory, f"{name} is not the file that {CARD} names, its SHA-256 differs")
    return content


def _check_listed(directory: pathlib.Path, card: Mapping[str, Any]) -> None:
    """Raises UserError if a file that is there is not as the card lists it."""
    try:
        problem = changed_file(directory, card["files"])
    except OSError as error:
        raise _cannot_read(directory, error) from error
    except (KeyError, TypeError, AttributeError):
        problem = f"{CARD} does not list its files"
    if problem:
        raise _damaged(directory, problem)


def _check_whole(classifier: GeneratedClassifier) -> None:
    """Raises ValueError if the parts contradict each other."""
    names, arrays = classifier.class_names, classifier.arrays
    if list(names) != list(classifier.card["classes"]):
        raise ValueError(f"{LABELS} and {CARD} name different classes")
    if not classifier.temperature > 0 or not 0 <= classifier.threshold <= 1:
        raise ValueError(f"temperature {classifier.temperature} and threshold {classifier.threshold} are not possible")
    architecture = _architecture(classifier.cnn, classifier.preprocessing)
    require_one_of("background", classifier.background, BACKGROUNDS)
    wanted: dict[str, tuple[int, ...]] = {
        f"convolution_{spec.index}/kernel": spec.kernel_shape for spec in architecture.convolutions
    }
    wanted["logits/kernel"] = (architecture.logits.input_size, len(names))
    wanted["class_means"] = (len(names), architecture.logits.input_size)
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("a weight is not a finite number")


def _architecture(cnn: CnnConfig, preprocessing: Preprocessing) -> Architecture:
    size = preprocessing.image_size
    return build_architecture(cnn, (size, size, preprocessing.channels))


def _cannot_read(directory: pathlib.Path, error: OSError) -> UserError:
    name = pathlib.Path(error.filename).name if error.filename else CARD
    return UserError(
        f"Classifier {shown(str(directory))} cannot be read: {name}: {error.strerror}; generate it again, or get a "
        "whole copy."
    )


def _damaged(directory: pathlib.Path, how: str) -> UserError:
    return UserError(f"Classifier {shown(str(directory))} was changed or is damaged ({how}): generate it again.")
