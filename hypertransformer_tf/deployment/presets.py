"""Trained models as directories, some of them in the package; `runs.preset_files` says what is in one."""

import json
import os
import pathlib
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

import safetensors.numpy

from hypertransformer_tf.config_checks import require_one_of
from hypertransformer_tf.data.background import BACKGROUNDS
from hypertransformer_tf.deployment.model_files import ModelFiles, arrays_for_use, config_for_use
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.whole_directory import whole_directory
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.runs.content_hash import file_sha256
from hypertransformer_tf.runs.preset_files import (
    CARD,
    CONFIG,
    FORMAT_VERSION,
    VARIABLES,
    find_preset,
    preset_names,
    read_preset_files,
)

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

_PathLike = Union[str, os.PathLike]


def load_preset(name_or_directory: _PathLike) -> "HyperTransformer":
    """The model of a preset, by its name in the package or by its directory.

    Raises:
      UserError: there is no such preset, or its files are damaged.
    """
    return read_preset(name_or_directory).build()


def save_preset(
    model: "HyperTransformer",
    directory: _PathLike,
    card: Optional[Mapping[str, Any]] = None,
    background: Optional[str] = None,
    overwrite: bool = False,
) -> None:
    """Writes a model as a preset; what only meta-training uses is left out.

    Args:
      model: trained.
      directory: made, complete or not at all.
      card: what is known about the model, as JSON values.
      background: `light` or `dark`, that of all pictures it was trained with; None if they differ.
      overwrite: whether an existing preset may be replaced.

    Raises:
      UserError: the directory exists and is not to be overwritten, or cannot be written.
      SaveError: the disk is full.
    """
    require_one_of("background", background, BACKGROUNDS)
    config = {
        "format_version": FORMAT_VERSION,
        "image_shape": list(model.image_shape),
        "n_way": model.n_way,
        "config": config_for_use(model.config).to_dict(),
        "background": background,
    }
    from hypertransformer_tf.runs.state import model_arrays  # late: it needs TensorFlow, which reading does not

    arrays = arrays_for_use({name.partition("/")[2]: array for name, array in model_arrays(model).items()})
    with whole_directory(directory, marker=VARIABLES, overwrite=overwrite) as folder:
        (folder / VARIABLES).write_bytes(safetensors.numpy.save(arrays))
        _write_json(folder / CONFIG, config)
        _write_json(folder / CARD, {**(card or {}), "sha256": file_sha256(folder / VARIABLES)})


def read_preset(name_or_directory: _PathLike) -> ModelFiles:
    """Reads a preset and checks its variables against the SHA-256 in its card. Raises UserError."""
    directory = find_preset(name_or_directory)
    if directory is None:
        known = ", ".join(map(repr, preset_names())) or "none"
        raise UserError(
            f"{shown(str(name_or_directory))!r} is neither a preset of the package ({known}) nor the directory of one: "
            f"a preset's directory holds {CONFIG} and {VARIABLES}."
        )
    config, arrays, sha256 = read_preset_files(directory)
    try:
        require_one_of("background", config["background"], BACKGROUNDS)
        return ModelFiles(
            name=directory.resolve().name,
            image_shape=tuple(config["image_shape"]),
            n_way=int(config["n_way"]),
            config=ModelConfig.from_dict(config["config"]),
            background=config["background"],
            sha256=sha256,
            arrays=arrays,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"Preset {directory} is damaged ({error}): get it again.") from error


def _write_json(path: pathlib.Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
