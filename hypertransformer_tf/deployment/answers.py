"""Asking a classifier about any number of picture files, and writing its answers down."""

import contextlib
import csv
import dataclasses
import itertools
import os
import pathlib
from typing import Any, Callable, Iterable, Iterator, Optional

import numpy as np

from hypertransformer_tf.data.background import has_light_background
from hypertransformer_tf.deployment.classifier_folder import GeneratedClassifier
from hypertransformer_tf.deployment.picture_files import ReadPicture, read_pictures, shown
from hypertransformer_tf.deployment.support_folder import NONE_OF_THESE
from hypertransformer_tf.errors import SaveError, UserError

_AT_ONCE = 128  # pictures


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the classifier says of one file.

    Attributes:
      file: its path.
      class_name: or "none of these".
      probability: of the most probable class, whatever `class_name` is.
      top: the most probable classes with their probabilities, most probable first; as many as were asked for.
      error: instead of all that, why the file was left out.
      resemblance: to the class that it resembles most, from 0 to 1: what "none of these" is decided by.
      on_other_background: whether it is dark on light where what the classifier was made from is light on dark, or the
        other way round.
    """

    file: str
    class_name: str = ""
    probability: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    error: Optional[str] = None
    resemblance: float = 0.0
    on_other_background: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; the class is None for "none of these"."""
        known = None if self.class_name == NONE_OF_THESE else self.class_name
        values: dict[str, Any] = {"file": self.file, "class": known, "probability": self.probability}
        values["resemblance"] = self.resemblance
        values["on_other_background"] = self.on_other_background
        if self.top:
            values["top"] = [{"class": name, "probability": value} for name, value in self.top]
        return values

    def row(self) -> list[str]:
        """As text: file, class, probability, then class and probability of each in `top`."""
        pairs = [(self.class_name, self.probability), *self.top]
        return [self.file, *itertools.chain.from_iterable((name, f"{value:.4f}") for name, value in pairs)]

    def __str__(self) -> str:
        return "\t".join(map(shown, self.row()))


def ask(
    classifier: GeneratedClassifier, files: Iterable[str], threshold: Optional[float] = None, top: int = 0
) -> Iterator[Answer]:
    """Answers about picture files in their order, read and classified some at a time.

    Args:
      classifier: see `read_classifier`.
      files: paths; any number.
      threshold: instead of the classifier's own; 0: always a class.
      top: how many classes to name, at most as many as there are.
    """
    pictures = read_pictures(files, classifier.preprocessing)
    while batch := list(itertools.islice(pictures, _AT_ONCE)):
        read = [picture.image for picture in batch if picture.image is not None]
        said = iter(_said_of(classifier, np.stack(read)) if read else ())
        for picture in batch:
            if picture.image is None:
                yield Answer(picture.path, error=picture.error)
            else:
                yield _answer(classifier, picture, *next(said), threshold, top)


@contextlib.contextmanager
def csv_file(path: Optional[str], top: int) -> Iterator[Callable[[Answer], None]]:
    """Gives a function that writes an answer to a CSV file, which appears when all is written; without a path, to none.

    Raises:
      UserError: the file cannot be written there.
      SaveError: the disk is full.
    """
    if path is None:
        yield lambda answer: None
        return
    header = ["file", "class", "probability"]
    header += [f"{name}_{place}" for place in range(1, top + 1) for name in ("class", "probability")]
    target = pathlib.Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    if target.is_dir():
        raise UserError(f"--csv={shown(path)} is a folder: give the name of a file.")
    try:
        file = open(partial, "w", newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"--csv={shown(path)} cannot be written: {error.strerror or error}.") from error
    rows = csv.writer(file, lineterminator="\n")
    try:
        with _saving(path):
            rows.writerow(header)
        yield lambda answer: _write(rows, answer, path)
        with _saving(path):
            file.close()
            os.replace(partial, target)
    finally:
        with contextlib.suppress(OSError):  # of a full disk, which has been said
            file.close()
        partial.unlink(missing_ok=True)


def _write(rows: Any, answer: Answer, path: str) -> None:
    with _saving(path):
        rows.writerow(answer.row())


@contextlib.contextmanager
def _saving(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SaveError(f"{shown(path)} could not be written: {error.strerror or error}.") from error


def _said_of(classifier: GeneratedClassifier, images: np.ndarray) -> Iterable[tuple[np.ndarray, float, bool]]:
    """Probabilities, resemblance, and whether it is on the other background, of each of the pictures."""
    answers = classifier.ask(images)
    other = np.zeros(len(images), bool)
    if classifier.background is not None:
        other = has_light_background(images) != (classifier.background == "light")
    return zip(answers.probabilities, answers.resemblance, other)


def _answer(
    classifier: GeneratedClassifier,
    picture: ReadPicture,
    probabilities: np.ndarray,
    resemblance: float,
    on_other_background: bool,
    threshold: Optional[float],
    top: int,
) -> Answer:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return Answer(
        file=picture.path,
        class_name=classifier.answer(probabilities, resemblance, threshold),
        probability=float(probabilities.max()),
        resemblance=float(resemblance),
        on_other_background=bool(on_other_background),
        top=tuple((classifier.class_names[place], float(probabilities[place])) for place in order),
    )
