"""How far the answers of an exported classifier are from the model's."""

import dataclasses
from typing import Any, Optional

import numpy as np

from hypertransformer_tf.deployment.calibration import softmax
from hypertransformer_tf.errors import SaveError

TOLERANCE = 1e-4
_SMALLEST = 1e-30  # smaller probabilities have lost digits of their logits in float32


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the model itself answers.

    Attributes:
      pictures: (N, H, W, C) uint8, not inverted.
      labels: (N,) int, -1 where unknown.
      logits: (N, classes) of the model, before the temperature.
      temperature: of the classifier.
    """

    pictures: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    temperature: float

    @property
    def probabilities(self) -> np.ndarray:
        """What exported classifiers should answer: (N, classes), from the logits and the temperature."""
        return softmax(self.logits / self.temperature)


def agreement(name: str, probabilities: np.ndarray, reference: Reference) -> dict[str, Any]:
    """The largest differences of probabilities and of logits, for a card.

    Raises:
      SaveError: probabilities or logits differ by more than 1e-4, or there is no number to compare.
    """
    if probabilities.shape != reference.logits.shape or not np.isfinite(probabilities).all():
        raise _differs(name, "they have another shape, or are no numbers")
    measured = differences(probabilities, reference)
    if max(measured.values()) > TOLERANCE:
        apart, logits_apart = measured.values()
        raise _differs(name, f"probabilities differ by {apart:.2g}, logits by {logits_apart:.2g}")
    return {"pictures": len(probabilities), **measured}


def differences(probabilities: np.ndarray, reference: Reference) -> dict[str, float]:
    """The largest differences of probabilities (N, classes) and of logits from what the model answers.

    Logits are told from probabilities up to a constant for each picture, so both are compared about their means.
    """
    expected = reference.probabilities
    known = np.minimum(probabilities, expected) > _SMALLEST
    logits = (reference.temperature * np.log(np.where(known, each, 1.0)) for each in (probabilities, expected))
    return {
        "largest_difference_of_probabilities": _largest(probabilities, expected),
        "largest_difference_of_logits": _largest(*(_centred(each, known) for each in logits)),
    }


def approximation(probabilities: np.ndarray, reference: Reference) -> dict[str, Any]:
    """Differences and the change of accuracy on labelled pictures, for a format that is known to differ."""
    expected, labels = reference.probabilities, reference.labels
    before, after = (_accuracy(each, labels) for each in (expected, probabilities))
    return {
        "pictures": len(expected),
        "largest_difference_of_probabilities": _largest(probabilities, expected),
        "same_class": float(np.mean(probabilities.argmax(1) == expected.argmax(1))),
        "accuracy_float32": before,
        "accuracy": after,
        "accuracy_change": None if before is None or after is None else after - before,
    }


def _differs(name: str, how: str) -> SaveError:
    return SaveError(
        f"{name} was loaded again and gives other answers than the model ({how}), so nothing is written: report this, "
        "with the versions that are installed."
    )


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max())


def _centred(logits: np.ndarray, known: np.ndarray) -> np.ndarray:
    means = np.sum(logits * known, axis=1, keepdims=True) / np.sum(known, axis=1, keepdims=True)
    return np.where(known, logits - means, 0.0)


def _accuracy(probabilities: np.ndarray, labels: np.ndarray) -> Optional[float]:
    labelled = labels >= 0
    return float(np.mean(probabilities.argmax(1)[labelled] == labels[labelled])) if labelled.any() else None
