"""Where presets lie and what is in their directories. Needs no TensorFlow.

config.json         the model: {"format_version", "image_shape", "n_way", "config", "background"}
model.safetensors   its variables by name
card.json           where it comes from and what it is good for; "sha256" is that of model.safetensors
"""

import json
import os
import pathlib
from typing import Any, Optional, Union

import numpy as np
import safetensors
import safetensors.numpy

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.content_hash import file_sha256
from hypertransformer_tf.runs.local_path import local_path

FORMAT_VERSION = 1
CONFIG, VARIABLES, CARD = "config.json", "model.safetensors", "card.json"
_PACKAGED = pathlib.Path(__file__).resolve().parents[1] / "presets"


def preset_names() -> list[str]:
    """The presets in the package."""
    if not _PACKAGED.is_dir():
        return []
    return sorted(path.name for path in _PACKAGED.iterdir() if (path / CONFIG).is_file())


def find_preset(name_or_directory: Union[str, os.PathLike]) -> Optional[pathlib.Path]:
    """Where a preset lies: a name within the package, or a directory that holds one; None if there is none.

    Raises:
      UserError: it is a path, and not a local one.
    """
    if str(name_or_directory) in preset_names():
        return _PACKAGED / name_or_directory
    directory = local_path(name_or_directory)
    return directory if (directory / VARIABLES).is_file() else None


def read_preset_files(directory: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
    """What config.json says, the variables by name, and the SHA-256 of their file.

    Raises:
      UserError: a file cannot be read, is damaged, of another version, or not the one that the card names.
    """
    try:
        config, card = (json.loads((directory / name).read_text(encoding="utf-8")) for name in (CONFIG, CARD))
        sha256 = file_sha256(directory / VARIABLES)
        if config["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"Preset {directory} has format version {config['format_version']} and this library reads "
                f"{FORMAT_VERSION}: install the version of the library that wrote it."
            )
        if sha256 != card["sha256"]:
            raise UserError(f"Preset {directory}: {VARIABLES} is not the file its card names: get the preset again.")
        return config, safetensors.numpy.load_file(directory / VARIABLES), sha256
    except OSError as error:
        raise UserError(f"Preset {directory} cannot be read: {error.filename}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(f"Preset {directory} is damaged ({error}): get it again.") from error
