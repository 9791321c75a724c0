"""Finding a trained model: a preset's name, a preset's directory, or the directory of a run."""

import functools
import os
import pathlib
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from hypertransformer_tf.deployment.model_files import ModelFiles, arrays_for_use, config_for_use, require_inductive
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.presets import read_preset
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.runs.checkpoints import load_for_use
from hypertransformer_tf.runs.content_hash import file_sha256
from hypertransformer_tf.runs.data_record import read_data_record
from hypertransformer_tf.runs.preset_files import find_preset, preset_names
from hypertransformer_tf.runs.run_directory import read_configuration

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

_MODEL = "model/"


class TrainedModel(NamedTuple):
    """A model ready for use, and what a card says of it; `sha256` is None for one that lies in no file."""

    model: "HyperTransformer"
    name: str
    sha256: Optional[str]
    background: Optional[str]


def find_model(source: Union[str, os.PathLike]) -> ModelFiles:
    """Reads a model that can serve classifiers; needs no TensorFlow.

    Args:
      source: the name of a preset in the package, the directory of a preset, or the directory of a run, of which the
        best checkpoint is taken (the newest, if none was validated, or, with a warning, if the best is damaged).

    Raises:
      UserError: there is nothing of this name, it is damaged, has no checkpoint, or is a transductive model.
    """
    if find_preset(source) is not None:
        files = read_preset(source)
    elif (pathlib.Path(source) / "config.json").is_file():
        files = read_run(pathlib.Path(source))
    else:
        known = ", ".join(map(repr, preset_names())) or "there are none"
        raise UserError(
            f"{shown(str(source))!r} is no model: give the name of a preset ({known}), the directory of a preset, or "
            "one that bin/train made."
        )
    require_inductive(files.config, files.name)
    return files


def load_model(source: Union[str, os.PathLike, "HyperTransformer"]) -> TrainedModel:
    """`find_model`, built; a `HyperTransformer` is taken as it is. Models found by name or path are kept in memory.

    Raises:
      UserError: as `find_model`.
    """
    if isinstance(source, (str, os.PathLike)):
        return _load(os.fspath(source), os.getcwd())
    config = getattr(source, "config", None)
    if not isinstance(config, ModelConfig):
        raise UserError(f"model = {source!r} is not one: give a preset's name, a directory or a HyperTransformer.")
    require_inductive(config, source.name)
    return TrainedModel(source, source.name, None, None)


@functools.lru_cache(maxsize=2)
def _load(source: str, directory: str) -> TrainedModel:
    del directory  # where a relative path leads depends on it
    files = find_model(source)
    return TrainedModel(files.build(), files.name, files.sha256, files.background)


def read_run(directory: pathlib.Path) -> ModelFiles:
    """The model of a run, inductive or not: its best checkpoint. Raises UserError as `find_model`."""
    configuration = read_configuration(directory)
    method = configuration.get("method", {}).get("name", "hypertransformer")
    if method != "hypertransformer":
        raise UserError(f"{directory} trained {method!r}, a baseline: give the run of a HyperTransformer.")
    checkpoint = load_for_use(directory / "checkpoints")
    if checkpoint is None:
        raise UserError(f"{directory} has no checkpoint yet: train it first, with bin/train.")
    arrays = {name[len(_MODEL) :]: array for name, array in checkpoint.arrays.items() if name.startswith(_MODEL)}
    try:
        size, channels = configuration["data"]["image_size"], configuration["data"]["channels"]
        config = ModelConfig.from_dict(configuration)
        # Of the embeddings, not of the episodes' settings: the model tells as many classes apart as it has labels for.
        n_way = next(len(array) - 1 for name, array in arrays.items() if name.endswith("/label_embeddings"))
    except (KeyError, TypeError, StopIteration) as error:
        raise UserError(f"{directory}/config.json is not of this version of the library ({error}).") from error
    if channels not in (1, 3):
        raise UserError(f"{directory} was trained on vectors of {channels} values, not on pictures: give another run.")
    data = read_data_record(directory)
    return ModelFiles(
        name=directory.resolve().name,
        image_shape=(size, size, channels),
        n_way=n_way,
        config=config_for_use(config),
        background=data["background"] if data is not None else None,
        sha256=file_sha256(checkpoint.path),
        arrays=arrays_for_use(arrays),
    )
