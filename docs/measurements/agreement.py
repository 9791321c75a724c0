"""How far every exported format is from the model on 1,000 real pictures, each asked where this library is not.

    python docs/measurements/agreement.py --model=omniglot

For a few episodes of test classes of the data that a preset is for, a classifier is written from one picture of each
class and every format is asked about the others. Prints a Markdown table: the largest difference of logits and of
probabilities over all pictures, and the accuracy of int8 beside that of float32.
"""

import argparse
import dataclasses
import pathlib
import tempfile
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
from bare_formats import answers_without_this_library
from preset_data import data_of

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.agreement import Reference, approximation, differences
from hypertransformer_tf.deployment.calibration import calibrate
from hypertransformer_tf.deployment.formats import FILES
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.deployment.support_folder import SupportSet
from hypertransformer_tf.deployment.trained_models import TrainedModel, load_model
from hypertransformer_tf.deployment.write_classifier import write_classifier

PICTURES, MOST_OF_A_CLASS = 1_000, 19  # at least, and at most


@dataclasses.dataclass(frozen=True)
class Measured:
    """One format over all episodes.

    Attributes:
      file: the format's.
      pictures: how many were asked about.
      logits, probabilities: the largest differences from the model.
      accuracy, accuracy_float32: of the format and of the model, from 0 to 1.
    """

    file: str
    pictures: int
    logits: float
    probabilities: float
    accuracy: float
    accuracy_float32: float


def episodes_of(
    trained: TrainedModel, images: ImagesByClass, folder: pathlib.Path
) -> Iterator[Tuple[pathlib.Path, Reference]]:
    """Writes classifiers of test classes until 1,000 pictures are asked about; yields each with the model's answers."""
    stream, ways, asked = np.random.default_rng(0), trained.model.n_way, 0
    while asked < PICTURES:
        classes = stream.choice(images.splits["test"], ways, replace=False)
        pictures = [images.class_images(each)[: 1 + MOST_OF_A_CLASS] for each in classes]
        support, labels = np.stack([each[0] for each in pictures]), np.arange(ways, dtype=np.int32)
        queries, of_class = np.concatenate([each[1:] for each in pictures]), [len(each) - 1 for each in pictures]
        names = tuple(images.class_names[each] for each in classes)
        preprocessing = Preprocessing(images.image_shape[0], images.image_shape[2])
        calibration = calibrate(trained.model, support, labels, ways)
        write_classifier(
            folder / f"{asked}", trained, SupportSet(support, labels, names, (), preprocessing), calibration
        )
        weights = trained.model.generate(support, labels, n_way=ways)
        logits = np.asarray(trained.model.classify(queries, weights))
        yield folder / f"{asked}", Reference(queries, np.repeat(labels, of_class), logits, calibration.temperature)
        asked += len(queries)


def measure(model: str, folder: pathlib.Path, data_dir: Optional[str] = None) -> List[Measured]:
    """Every format of a preset's classifiers against the model.

    Args:
      model: a preset's name or directory, or a run.
      folder: an empty one for the classifiers.
      data_dir: where the data is, if not in the usual places.
    """
    trained = load_model(model)
    images = load_images(data_of(trained, data_dir), trained.model.n_way)
    answers: Dict[str, List[np.ndarray]] = {file: [] for file in FILES.values()}
    references = []
    for directory, reference in episodes_of(trained, images, folder):
        references.append(reference)
        for file, found in answers.items():
            place = folder / f"{directory.name}_{file}"
            place.mkdir()
            found.append(answers_without_this_library(directory / file, reference.pictures, place))
    return [_measured(file, found, references) for file, found in answers.items()]


def _measured(file: str, answers: List[np.ndarray], references: List[Reference]) -> Measured:
    apart = [differences(found, reference) for found, reference in zip(answers, references)]
    known = [approximation(found, reference) for found, reference in zip(answers, references)]
    sizes = [len(found) for found in answers]
    accuracy, before = (
        float(np.average([each[name] for each in known], weights=sizes)) for name in ("accuracy", "accuracy_float32")
    )
    logits, probabilities = (
        max(each[f"largest_difference_of_{name}"] for each in apart) for name in ("logits", "probabilities")
    )
    return Measured(file, sum(sizes), logits, probabilities, accuracy, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="omniglot", help="a preset's name or directory, or a run")
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    print("| format | pictures | largest difference of logits | of probabilities | accuracy | change |")
    print("| --- " * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for each in measure(flags.model, pathlib.Path(folder), flags.data_dir):
            print(
                f"| `{each.file}` | {each.pictures:,} | {each.logits:.1e} | {each.probabilities:.1e} | "
                f"{100 * each.accuracy:.2f}% | {100 * (each.accuracy - each.accuracy_float32):+.2f} points |"
            )


if __name__ == "__main__":
    main()
