"""From a folder of pictures to a directory with a classifier: what bin/generate and notebooks call."""

import dataclasses
import os
import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Union

from hypertransformer_tf.deployment.calibration import LEAVE_ONE_OUT, calibrate
from hypertransformer_tf.deployment.classifier_folder import CARD
from hypertransformer_tf.deployment.default_model import DEFAULT_MODEL
from hypertransformer_tf.deployment.formats import check_formats
from hypertransformer_tf.deployment.support_folder import read_support_folder
from hypertransformer_tf.deployment.trained_models import find_model
from hypertransformer_tf.deployment.whole_directory import check_can_be_written

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

_PathLike = Union[str, os.PathLike]


@dataclasses.dataclass(frozen=True)
class Generated:
    """A classifier that was written.

    Attributes:
      directory: where.
      card: what card.json says.
      seconds: how long writing the CNN's weights took, the one forward pass.
      preparation_seconds: how long making its graph took before, once for a model and number of classes in a process.
    """

    directory: pathlib.Path
    card: Mapping[str, Any]
    seconds: float
    preparation_seconds: float

    def __str__(self) -> str:
        labelled = sum(bool(each["class"]) for each in self.card["support"])
        left_out = self.card["leave_one_out"]
        lines = [
            f"{self.directory}: {len(self.card['classes'])} classes from {labelled} pictures"
            f"{_and_unlabelled(len(self.card['support']) - labelled)}, by {self.card['model']['name']}",
            f"  weights generated in {1000 * self.seconds:.0f} ms, after {self.preparation_seconds:.1f} s of preparing "
            "the model's graph, once in a process",
        ]
        if left_out is not None:
            lines.append(f"  accuracy on {left_out['n']} left-out pictures {100 * left_out['accuracy']:.1f}%")
        lines.append(_calibration_line(self.card["calibration"]))
        int8 = self.card["formats"].get("classifier_int8.tflite")
        if int8 is not None:
            lines.append(f"  int8: {100 * int8['same_class']:.1f}% of support pictures classified as in float32")
        lines += [f"  {name} {entry['bytes']:,} bytes" for name, entry in self.card["files"].items() if "/" not in name]
        return "\n".join(lines)


def generate(
    support: _PathLike,
    out: _PathLike,
    model: Union[str, os.PathLike, "HyperTransformer"] = DEFAULT_MODEL,
    unlabelled: Optional[_PathLike] = None,
    formats: Optional[Sequence[str]] = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda sentence: print(sentence, file=sys.stderr),
) -> Generated:
    """Generates a classifier from a folder of pictures and writes it in every format.

    Args:
      support: a folder with a sub-folder of pictures for each class.
      out: the directory to make; it appears complete or not at all.
      model: a trained one: a preset's name, the directory of a preset or of a run, or a `HyperTransformer`.
      unlabelled: a folder with more pictures of these classes, without saying which.
      formats: of keras, savedmodel, tflite, tflite_int8 and onnx; all if unset.
      overwrite: whether a classifier that is in `out` may be replaced.
      report: gets a sentence for each file that cannot be read, and one if colour is lost.

    Raises:
      UserError: a folder, the model or a format cannot be used.
      SaveError: the disk is full, or a file gives other answers than the model.
    """
    formats = check_formats(formats)
    check_can_be_written(out, CARD, overwrite)
    # All that can be wrong with the user's files is found before TensorFlow is loaded.
    if isinstance(model, (str, os.PathLike)):
        source = find_model(model)
        shape, n_way, background = source.image_shape, source.n_way, source.background
    else:
        shape, n_way, background = model.image_shape, model.n_way, None
    support_set = read_support_folder(support, shape[0], shape[2], n_way, background, unlabelled, report)

    from hypertransformer_tf.deployment.trained_models import load_model
    from hypertransformer_tf.quiet_import import import_quietly

    import_quietly("tensorflow")
    from hypertransformer_tf.deployment.compiled_generation import compiled_generation
    from hypertransformer_tf.deployment.write_classifier import write_classifier

    trained = load_model(model)
    images, labels, classes = support_set.model_images(), support_set.labels, len(support_set.class_names)
    generation = compiled_generation(trained.model, classes)
    calibration = calibrate(trained.model, images, labels, classes, generation)
    started = time.perf_counter()
    weights = generation(images, labels)
    weights.logits.kernel.numpy()  # waits for an accelerator
    seconds, preparation = time.perf_counter() - started, generation.preparation_seconds
    times = {"generation": {"seconds": seconds, "preparation_seconds": preparation}}
    card = write_classifier(out, trained, support_set, calibration, weights, formats, overwrite, more=times)
    return Generated(pathlib.Path(out), card, seconds, preparation)


def _calibration_line(calibration: Mapping[str, Any]) -> str:
    left_out = calibration["method"] == LEAVE_ONE_OUT
    asked = "left-out pictures" if left_out else "moved copies of the support pictures, which are easier than new ones"
    before, after = (calibration[f"expected_calibration_error_{when}"] for when in ("before", "after"))
    return (
        f"  expected calibration error {before:.3f} before and {after:.3f} after setting the temperature, on "
        f"{calibration['pictures']} {asked}"
    )


def _and_unlabelled(count: int) -> str:
    return f" and {count} unlabelled" if count else ""
