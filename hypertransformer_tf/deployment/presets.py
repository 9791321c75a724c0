"""Trained models as directories, some of them in the package.

config.json         the model: {"format_version", "image_shape", "n_way", "config", "background"}
model.safetensors   its variables by name
card.json           where it comes from and what it is good for; "sha256" is that of model.safetensors
"""

import json
import os
import pathlib
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

import safetensors
import safetensors.numpy

from hypertransformer_tf.config_checks import require_one_of
from hypertransformer_tf.deployment.model_files import ModelFiles, arrays_for_use, config_for_use
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.preprocessing import BACKGROUNDS
from hypertransformer_tf.deployment.support_folder import file_sha256
from hypertransformer_tf.deployment.whole_directory import whole_directory
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.config import ModelConfig

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

FORMAT_VERSION = 1
CONFIG, VARIABLES, CARD = "config.json", "model.safetensors", "card.json"
_PACKAGED = pathlib.Path(__file__).resolve().parents[1] / "presets"

_PathLike = Union[str, os.PathLike]


def preset_names() -> list[str]:
    """The presets in the package."""
    if not _PACKAGED.is_dir():
        return []
    return sorted(path.name for path in _PACKAGED.iterdir() if (path / CONFIG).is_file())


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


def find_preset(name_or_directory: _PathLike) -> Optional[pathlib.Path]:
    """Where a preset lies: a name within the package, or a directory that holds one; None if there is none."""
    if str(name_or_directory) in preset_names():
        return _PACKAGED / name_or_directory
    directory = pathlib.Path(name_or_directory)
    return directory if (directory / VARIABLES).is_file() else None


def read_preset(name_or_directory: _PathLike) -> ModelFiles:
    """Reads a preset and checks its variables against the SHA-256 in its card. Raises UserError."""
    directory = find_preset(name_or_directory)
    if directory is None:
        known = ", ".join(map(repr, preset_names())) or "none"
        raise UserError(
            f"{shown(str(name_or_directory))!r} is neither a preset of the package ({known}) nor the directory of one: "
            f"a preset's directory holds {CONFIG} and {VARIABLES}."
        )
    try:
        config, card = (json.loads((directory / name).read_text(encoding="utf-8")) for name in (CONFIG, CARD))
        content_sha256 = file_sha256(directory / VARIABLES)
        if config["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"Preset {directory} has format version {config['format_version']} and this library reads "
                f"{FORMAT_VERSION}: install the version of the library that wrote it."
            )
        if content_sha256 != card["sha256"]:
            raise UserError(f"Preset {directory}: {VARIABLES} is not the file its card names: get the preset again.")
        require_one_of("background", config["background"], BACKGROUNDS)
        return ModelFiles(
            name=directory.resolve().name,
            image_shape=tuple(config["image_shape"]),
            n_way=int(config["n_way"]),
            config=ModelConfig.from_dict(config["config"]),
            background=config["background"],
            sha256=content_sha256,
            arrays=safetensors.numpy.load_file(directory / VARIABLES),
        )
    except OSError as error:
        raise UserError(f"Preset {directory} cannot be read: {error.filename}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(f"Preset {directory} is damaged ({error}): get it again.") from error


def _write_json(path: pathlib.Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
