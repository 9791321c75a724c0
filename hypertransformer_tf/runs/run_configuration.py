"""`config.json`: all parameters of a run, and whether another start has the same."""

import json
import os
import pathlib
from typing import Any, Mapping, Union

from hypertransformer_tf.config_record import with_defaults
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.local_path import local_path

Configuration = Mapping[str, Mapping[str, Any]]

# How long a run goes on, where its data lies, and how many queries the last measurement asks do not change the model.
NOT_COMPARED = ("training.steps", "data.data_dir", "evaluation.queries_per_class")
_SHOWN_DIFFERENCES = 6

_DRAWN_IN_A_STEP = (
    "cnn.dropout",
    "features.local_dropout",
    "features.shared_dropout",
    "transformer.dropout",
    "loss.max_remove_labelled",
    "loss.max_remove_unlabelled",
)


def read_configuration(path: Union[str, os.PathLike]) -> dict[str, dict[str, Any]]:
    """The configuration of the run in a folder, as `config_record.effective_configuration` gave it.

    Raises:
      UserError: the folder is not a local one, is not there or holds no run, or its config.json cannot be read.
    """
    file = local_path(path) / "config.json"
    try:
        configuration = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is not a run directory (no config.json in it): give the directory that "
            "bin/train named, such as runs/quickstart."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UserError(f"{file} cannot be read: {reason}.") from None
    if not _is_configuration(configuration):
        raise UserError(f"{path} is not a run directory (its config.json is something else's): choose another one.")
    return configuration


def _is_configuration(value: Any) -> bool:
    # Presets, and much other software, keep a config.json too.
    return isinstance(value, dict) and bool(value) and all(isinstance(part, dict) for part in value.values())


def differences(old: Configuration, new: Configuration) -> list[str]:
    """'episodes.n_way: 5 -> 20' for each parameter that differs and matters."""
    flat_old, flat_new = _flat(old), _flat(new)
    return [
        f"{name}: {flat_old.get(name, 'unset')!r} -> {flat_new.get(name, 'unset')!r}"
        for name in sorted(flat_old.keys() | flat_new.keys())
        if name not in NOT_COMPARED and flat_old.get(name, _flat) != flat_new.get(name, _flat)
    ]


def drawn_in_a_step(configuration: Configuration) -> list[str]:
    """The parameters by which a step draws, which it does anew for each device's share of the task batch."""
    values = _flat(configuration)
    return [name for name in _DRAWN_IN_A_STEP if values.get(name)]


def _flat(configuration: Configuration) -> dict[str, Any]:
    return {
        f"{name}.{parameter}": value
        for name, parameters in configuration.items()
        for parameter, value in parameters.items()
    }


def check_same_configuration(path: pathlib.Path, configuration: Configuration) -> None:
    """Compares the run in a folder with a configuration; parameters that it did not know yet had their defaults.

    Raises:
      UserError: they differ; the sentence says in what.
    """
    changed = differences(with_defaults(read_configuration(path), configuration), configuration)
    if changed:
        more = len(changed) - _SHOWN_DIFFERENCES
        shown = ", ".join(changed[:_SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")
        raise UserError(
            f"Run directory {path} holds a run of another configuration ({shown}): choose another "
            "--run_dir, or take the change back to continue it."
        )
