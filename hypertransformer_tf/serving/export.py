"""Exporting a trained model for TensorFlow Serving: what bin/export and notebooks call."""

import dataclasses
import json
import os
import pathlib
from typing import Any, Mapping, Union

from hypertransformer_tf.deployment.trained_models import TrainedModel, find_model, load_model
from hypertransformer_tf.deployment.whole_directory import check_can_be_written, whole_directory
from hypertransformer_tf.errors import SaveError, UserError

MARKER = "saved_model.pb"
DESCRIPTION = "model.json"
_LARGEST_VERSION = 2**63 - 1
_PathLike = Union[str, os.PathLike]


@dataclasses.dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
      directory: of the SavedModel.
      model: the preset's or run's name.
      signatures: their names.
      megabytes: size of all files.
      warmup: whether there are warm-up requests; they need the package tensorflow-serving-api.
    """

    directory: str
    model: str
    signatures: tuple[str, ...]
    megabytes: float
    warmup: bool

    def __str__(self) -> str:
        lines = f"{self.directory}: {self.model} with {', '.join(self.signatures)}, {self.megabytes:.1f} MB"
        if not self.warmup:
            lines += "\nWithout warm-up requests: they need `pip install tensorflow-serving-api` (the extra `serving`)."
        return lines


def export(model: Any, directory: _PathLike, overwrite: bool = False) -> Export:
    """Writes a SavedModel of the whole HyperTransformer; `signatures.py` says what it computes.

    Args:
      model: a preset's name or directory, a run's directory, or a HyperTransformer.
      directory: its last part is the version, a whole number, as TensorFlow Serving wants it.
      overwrite: whether an earlier export there may be replaced.

    Raises:
      UserError: there is no such model, it is transductive, or the directory cannot be used.
      SaveError: the disk is full or cannot be written.
    """
    _check_version(directory)
    check_can_be_written(directory, MARKER, overwrite)
    if isinstance(model, (str, os.PathLike)):
        find_model(model)  # what is wrong with it is said before TensorFlow is loaded
    trained = load_model(model)
    import tensorflow as tf

    with whole_directory(directory, MARKER, overwrite) as partial:
        try:
            signatures, warmup = _write(trained, partial)
        except tf.errors.OpError as error:
            raise SaveError(f"{directory} could not be written: {error.message}.") from error
    size = sum(path.stat().st_size for path in pathlib.Path(directory).rglob("*") if path.is_file())
    return Export(str(directory), trained.name, tuple(signatures), size / 1e6, warmup)


def _write(trained: TrainedModel, folder: pathlib.Path) -> tuple[Mapping[str, Any], bool]:
    import tensorflow as tf

    from hypertransformer_tf.serving.signatures import ServedWeights, SignatureGraphs
    from hypertransformer_tf.serving.warmup import WARMUP_FILE, protos_installed, write_warmup

    signatures = SignatureGraphs(trained.model, trained.background).build()
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # nobody trains what is served
    tf.saved_model.save(ServedWeights(trained.model, signatures), str(folder), signatures, options)
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / DESCRIPTION).write_text(json.dumps(_describe(trained), indent=1) + "\n")
    warmup = protos_installed()
    if warmup:
        write_warmup(extra / WARMUP_FILE, trained.model, signatures, trained.name)
    return signatures, warmup


def _describe(trained: TrainedModel) -> dict[str, Any]:
    from hypertransformer_tf.serving.flat_weights import flat_layout, flat_size

    layout = flat_layout(trained.model)
    return {
        "format_version": 1,
        "model": {"name": trained.name, "sha256": trained.sha256},
        "image_shape": list(trained.model.image_shape),
        "n_way": trained.model.n_way,
        "background": trained.background,
        "config": trained.model.config.to_dict(),
        "weights": {"size": flat_size(layout), "tensors": [tensor._asdict() for tensor in layout]},
    }


def _check_version(directory: _PathLike) -> None:
    version = pathlib.Path(directory).name
    if not (version.isascii() and version.isdigit() and int(version) <= _LARGEST_VERSION):
        raise UserError(
            f"{directory} does not end in a version: TensorFlow Serving loads models from folders named by a whole "
            f"number, such as {pathlib.Path(directory) / '1'}."
        )
