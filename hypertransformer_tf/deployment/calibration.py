"""How sure a classifier is: the temperature of its probabilities and the threshold below which it says "none of these".

Both are set from the support set alone, by asking about support pictures as if they were new ones. How much each
resembles its own class and the others (`resemblance.py`) says what a known picture and one of no class look like.

* *Leave one out*, where classes have two pictures or more: a classifier is generated without the picture and asked
  about it.
* *Copies*, where most classes have one picture: moved and turned copies are asked about. They are closer to their
  original than a new picture of the class is. So probabilities are only ever made less sure by them (the temperature
  is 1 or more), and the threshold is set nearer to what the other classes reach.

Few pictures cannot tell the temperature well: it is held near 1, what meta-training made right on average, by a normal
prior on its logarithm.
"""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import numpy as np
from PIL import Image

from hypertransformer_tf.deployment.resemblance import class_means, resemblance_to_classes

if TYPE_CHECKING:
    from hypertransformer_tf.cnn.weights import GeneratedWeights
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

Generate = Callable[..., "GeneratedWeights"]

LEAVE_ONE_OUT, COPIES = "leave one out", "copies"

_MOST_ASKED = 256
_FEWEST_ASKED = 32  # where the support set is so large that each generation takes long
_SAMPLES_AT_ONCE = 2048  # support samples of all episodes of a task batch, which bounds memory
_SAMPLES_IN_ALL = 65_536

_TEMPERATURES = np.exp(np.linspace(-2.0, 2.0, 401))  # 0.14 to 7.4
_PRIOR_SPREAD = np.log(2.0)
_SHARE_OF_KNOWN = {LEAVE_ONE_OUT: 0.5, COPIES: 0.35}  # in the threshold; the rest is that of the other classes
_BINS = 10

# degrees, and shifts right and down as parts of the side
_COPIES = ((8, 0.06, 0.0), (-8, 0.0, 0.06), (8, 0.0, -0.06), (-8, -0.06, 0.0))


class HeldOut(NamedTuple):
    """Pictures asked about as if they were new.

    Attributes:
      logits: (N, n_way).
      resemblance: (N, n_way) from 0 to 1, see `resemblance.py`.
      labels: (N,).
      method: `leave one out` or `copies`.
    """

    logits: np.ndarray
    resemblance: np.ndarray
    labels: np.ndarray
    method: str


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `calibrate` finds.

    Attributes:
      temperature: logits are divided by it before the softmax.
      threshold: "none of these" where the resemblance to every class is below.
      method: `leave one out` or `copies`.
      accuracy: on the pictures asked about, from 0 to 1; says little for `copies`.
      pictures: how many were asked about.
      error_before, error_after: expected calibration error at temperature 1, and with a temperature set from the other
        pictures.
    """

    temperature: float
    threshold: float
    method: str
    accuracy: float
    pictures: int
    error_before: float
    error_after: float

    def leave_one_out(self) -> Optional[dict[str, Any]]:
        """For a card: {"accuracy", "n"}, or None where no picture could be left out."""
        return {"accuracy": self.accuracy, "n": self.pictures} if self.method == LEAVE_ONE_OUT else None

    def to_dict(self) -> dict[str, Any]:
        """For a card's `calibration`."""
        return {
            "method": self.method,
            "pictures": self.pictures,
            "expected_calibration_error_before": self.error_before,
            "expected_calibration_error_after": self.error_after,
        }


def calibrate(
    model: "HyperTransformer", images: np.ndarray, labels: np.ndarray, n_way: int, generate: Optional[Generate] = None
) -> Calibration:
    """Sets temperature and threshold of the classifier that `model` generates from a support set.

    Args:
      model: an inductive one.
      images: (S, H, W, C) uint8 as the model takes them.
      labels: (S,) int32 from 0 to n_way - 1, each at least once; -1 = no label.
      n_way: number of classes.
      generate: of images, labels and (not always) mask, instead of the model's own; see `compiled_generation.py`.
    """
    return calibration_from(ask_about_support(model, images, labels, n_way, generate))


def ask_about_support(
    model: "HyperTransformer", images: np.ndarray, labels: np.ndarray, n_way: int, generate: Optional[Generate] = None
) -> HeldOut:
    """Asks about support pictures as if they were new: leave one out, or copies. Arguments as for `calibrate`."""
    generate = functools.partial(model.generate, n_way=n_way) if generate is None else generate
    places = _places_to_leave_out(labels, n_way)
    if len(places) >= n_way:
        logits, resemblance = _leave_each_out(model, images, labels, places, generate, n_way)
        return HeldOut(logits, resemblance, labels[places], LEAVE_ONE_OUT)
    known = np.flatnonzero(labels >= 0)
    copies = np.stack([_moved(images[place], *how) for place in known for how in _COPIES])
    weights = generate(images, labels)
    parts = [copies[start : start + _MOST_ASKED] for start in range(0, len(copies), _MOST_ASKED)]
    logits = np.concatenate([model.classify(part, weights) for part in parts])
    features = np.concatenate([model.features(part, weights) for part in parts])
    means = class_means(np.asarray(model.features(images, weights)), labels, n_way)
    return HeldOut(logits, resemblance_to_classes(features, means), np.repeat(labels[known], len(_COPIES)), COPIES)


def calibration_from(held_out: HeldOut) -> Calibration:
    """Temperature and threshold from logits of pictures whose class is known."""
    logits, resemblance, labels, method = held_out
    allowed = _TEMPERATURES if method == LEAVE_ONE_OUT else _TEMPERATURES[_TEMPERATURES >= 1.0]
    losses = _losses(logits, labels, allowed)
    total = losses.sum(1)
    temperature = float(allowed[np.argmin(total + _prior(allowed))])
    probabilities = softmax(logits / temperature)
    # Each picture's temperature is set without it: what was fitted to a picture says nothing about new ones.
    without = allowed[np.argmin(total[:, np.newaxis] - losses + _prior(allowed)[:, np.newaxis], axis=0)]
    return Calibration(
        temperature=temperature,
        threshold=_threshold(resemblance, labels, method),
        method=method,
        accuracy=float(np.mean(probabilities.argmax(1) == labels)),
        pictures=len(labels),
        error_before=expected_calibration_error(softmax(logits), labels),
        error_after=expected_calibration_error(softmax(logits / without[:, np.newaxis]), labels),
    )


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = _BINS) -> float:
    """How far the highest probability and the accuracy are apart, over equal bins of the former (Guo et al., 2017).

    Args:
      probabilities: (N, n_way).
      labels: (N,) int.
      bins: how many, from 0 to 1.
    """
    highest, right = probabilities.max(1), probabilities.argmax(1) == labels
    places = np.minimum((highest * bins).astype(int), bins - 1)
    gaps = [abs(np.sum(highest[places == each] - right[places == each])) for each in range(bins)]
    return float(sum(gaps) / len(labels))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, n_way) float64 of logits (N, n_way)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _prior(temperatures: np.ndarray) -> np.ndarray:
    return 0.5 * np.square(np.log(temperatures) / _PRIOR_SPREAD)


def _losses(logits: np.ndarray, labels: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Negative logarithm (temperatures, N) of the probability of each picture's own class."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.empty((len(temperatures), len(labels)))
    for row, temperature in zip(losses, temperatures):
        scaled = shifted / temperature
        row[:] = np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(labels)), labels]
    return losses


def _threshold(resemblance: np.ndarray, labels: np.ndarray, method: str) -> float:
    """Between the resemblance that pictures of a class have to it, and the greatest that they have to the others."""
    own = labels[:, np.newaxis] == np.arange(resemblance.shape[1])
    known, others = resemblance[own], np.where(own, 0.0, resemblance).max(axis=1)
    share = _SHARE_OF_KNOWN[method]
    return float(share * np.mean(known) + (1.0 - share) * np.mean(others))


def _places_to_leave_out(labels: np.ndarray, n_way: int) -> np.ndarray:
    """Places of pictures whose class has another one; of many an even choice, the first of each class first."""
    ranks = np.full(len(labels), -1)
    for label in range(n_way):
        places = np.flatnonzero(labels == label)
        if len(places) > 1:
            ranks[places] = np.arange(len(places))
    order = np.argsort(ranks, kind="stable")
    most = int(np.clip(_SAMPLES_IN_ALL // len(labels), _FEWEST_ASKED, _MOST_ASKED))
    return order[ranks[order] >= 0][: max(most, n_way)]


def _leave_each_out(
    model: "HyperTransformer",
    images: np.ndarray,
    labels: np.ndarray,
    places: np.ndarray,
    generate: Generate,
    n_way: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and resemblance, each (N, n_way), of the pictures at `places`, by classifiers that have not seen them."""
    at_once = max(1, _SAMPLES_AT_ONCE // len(labels))
    logits, resemblance = [], []
    for start in range(0, len(places), at_once):
        left_out = places[start : start + at_once]
        here = np.arange(len(left_out))
        mask = np.zeros((len(left_out), len(labels)), np.float32)
        mask[here, left_out] = 1.0
        support = np.broadcast_to(images, (len(left_out), *images.shape))
        weights = generate(support, np.broadcast_to(labels, mask.shape), mask)
        logits.append(np.asarray(model.classify(images[left_out][:, np.newaxis], weights))[:, 0])
        features = np.asarray(model.features(support, weights))
        means = class_means(features, labels, n_way, mask)
        resemblance.append(resemblance_to_classes(features[here, left_out][:, np.newaxis], means)[:, 0])
    return np.concatenate(logits), np.concatenate(resemblance)


def _moved(image: np.ndarray, degrees: float, right: float, down: float) -> np.ndarray:
    """An image (H, W, C) uint8 turned and moved; what comes in at the sides has the colour of its border."""
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    border = tuple(int(value) for value in np.median(edge, axis=0))
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    moved = picture.rotate(
        degrees,
        Image.Resampling.BILINEAR,
        translate=(round(right * picture.width), round(down * picture.height)),
        fillcolor=border if len(border) > 1 else border[0],
    )
    return np.asarray(moved).reshape(image.shape)
