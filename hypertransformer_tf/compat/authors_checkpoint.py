"""Moves models from the authors' TensorFlow 1 program into this library.

settings = {...}                                   # the model settings the program was run with
model = model_from_settings(settings)
assign_variables(model, read_checkpoint("their_run_directory"))
"""

import pathlib
from typing import Any, Dict, Mapping, Union

import numpy as np
import tensorflow as tf

from hypertransformer_tf.compat.authors_names import SHARED_HEAD, authors_variables
from hypertransformer_tf.compat.authors_settings import model_config
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer

_COLOUR_SIDES = (84,)


def model_from_settings(settings: Mapping[str, Any]) -> HyperTransformer:
    """The model that the authors' settings describe, with fresh variables.

    Args:
      settings: the authors' names and values (a golden file's `config`), and two that they take from the data:
        `image_channels` says how many channels the images have; without it, 84-pixel images have three and others
        one, as in all their data sets. `shared_head_classes` says how many classes the head on the shared features
        predicts; without it, or if `shared_head_weight` is 0, there is no head, as nothing else depends on it.

    Raises:
      UserError: a setting is missing or not known.
    """
    for name in ("image_size", "num_labels"):
        if name not in settings:
            raise UserError(f"the authors' settings lack {name!r}: give it, for it decides the model's shape.")
    side = int(settings["image_size"])
    channels = int(settings.get("image_channels", 3 if side in _COLOUR_SIDES else 1))
    classes = int(settings.get("shared_head_classes") or 0) if settings.get("shared_head_weight") else 0
    config = model_config(settings)
    return HyperTransformer((side, side, channels), int(settings["num_labels"]), config, shared_head_classes=classes)


def assign_variables(model: HyperTransformer, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies variables under the authors' names into a model; all of them, or none.

    Those of the head on the shared features, which their program makes even where it does not use it, are skipped if
    the model has no such head.

    Raises:
      UserError: naming variables that are missing, left over or of another shape.
    """
    places = authors_variables(model)
    unused = SHARED_HEAD if model.shared_head is None else ()
    problems = [f"{name} is missing" for name in places if name not in arrays]
    problems += [f"{name} is left over" for name in arrays if name not in places and name not in unused]
    for name, place in places.items():
        if name in arrays and tuple(np.shape(arrays[name])) != place.shape:
            problems.append(f"{name} has shape {tuple(np.shape(arrays[name]))} where the model has {place.shape}")
    if problems:
        more = f" (and {len(problems) - 10} more)" if len(problems) > 10 else ""
        raise UserError(f"these variables do not fit the model: {'; '.join(problems[:10])}{more}.")
    for name, place in places.items():
        if place.variable is None:
            continue
        if place.row is None:
            place.variable.assign(arrays[name])
        else:
            values = np.array(tf.convert_to_tensor(place.variable))
            values[place.row] = arrays[name]
            place.variable.assign(values)


def read_checkpoint(path: Union[str, pathlib.Path]) -> Dict[str, np.ndarray]:
    """Variables of a model that the authors' program saved, by name.

    What else the program saves (step, augmentation state) is left out.

    Args:
      path: the program's training directory, or the prefix of one checkpoint in it.

    Raises:
      UserError: there is no checkpoint that can be read.
    """
    prefix = str(path)
    if pathlib.Path(prefix).is_dir():
        prefix = tf.train.latest_checkpoint(prefix) or _newest_prefix(pathlib.Path(prefix))
    try:
        reader = tf.train.load_checkpoint(prefix)
        names = reader.get_variable_to_shape_map()
        return {name: reader.get_tensor(name) for name in names if name.startswith("model/") or name in SHARED_HEAD}
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(f"no TensorFlow checkpoint can be read at {path}: give a training directory.") from error


def _newest_prefix(directory: pathlib.Path) -> str:
    found = sorted(directory.glob("*.index"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise UserError(f"{directory} holds no TensorFlow checkpoint (no file ending in .index).")
    return str(found[-1].with_suffix(""))
