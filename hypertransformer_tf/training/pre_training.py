"""Beginning with what was trained before: `training.shared_features_from` and `training.model_from`. Needs no TF."""

import json
import os
import pathlib
from typing import Any, Mapping, Optional

from hypertransformer_tf.config_record import with_defaults
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.checkpoints import Checkpoint, load_for_use
from hypertransformer_tf.runs.data_record import DataRecord, read_data_record
from hypertransformer_tf.runs.local_path import local_path
from hypertransformer_tf.runs.preset_files import CONFIG, VARIABLES, find_preset, read_preset_files
from hypertransformer_tf.training.config import TrainingConfig

# What variables mean, whatever their shapes; but a model may go on with these changed.
_MODEL = ("cnn", "features", "transformer", "generator")
_MAY_DIFFER = {
    "cnn.normalisation",
    "cnn.warmup_heads",
    "cnn.dropout",
    "features.local_dropout",
    "features.shared_dropout",
    "features.initializer",
    "transformer.dropout",
    "transformer.output_scale",
    "transformer.match_labels",
    "transformer.spread_labels",
    "transformer.attention_scale",
}

_Settings = Mapping[str, Mapping[str, Any]]


def pre_trained(config: TrainingConfig, data: DataRecord, settings: _Settings) -> Optional[Checkpoint]:
    """The checkpoint whose model, or whose shared features, a run begins with; None where it begins anew.

    Args:
      config: names the other run, or the preset.
      data: of the run that begins.
      settings: its configuration, as `Experiment.effective` gives it.

    Raises:
      UserError: there is no such run, it has no checkpoint, its model is another one, or it was trained on classes that
        this run is validated or measured on. (What a preset was trained on is said in its card; it is not checked.)
    """
    if config.model_from:
        preset = find_preset(config.model_from)
        checkpoint = _of_run("training.model_from", config.model_from, data) if preset is None else _read_preset(preset)
        kept = pathlib.Path(config.model_from) if preset is None else preset
        _check_same_model(config.model_from, kept / CONFIG, settings)
        return checkpoint
    if config.shared_features_from:
        return _of_run("training.shared_features_from", config.shared_features_from, data)
    return None


def _read_preset(directory: pathlib.Path) -> Checkpoint:
    _, arrays, _ = read_preset_files(directory)
    return Checkpoint(directory / VARIABLES, 0, {f"model/{name}": array for name, array in arrays.items()}, {})


def _check_same_model(source: str, path: pathlib.Path, settings: _Settings) -> None:
    """Shapes alone do not tell another activation from the one that was trained with."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        theirs = with_defaults(kept.get("config", kept), {name: settings[name] for name in _MODEL})
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"training.model_from = {source!r}: {path} cannot be read ({error}); give a whole run or preset."
        ) from None
    for part in _MODEL:
        for parameter, mine in settings[part].items():
            name, other = f"{part}.{parameter}", theirs[part].get(parameter)
            if name not in _MAY_DIFFER and other != mine:
                raise UserError(
                    f"training.model_from = {source!r}: the trained model is another one, with {name} = {other!r} and "
                    f"not {mine!r}; set it to {other!r}."
                )


def _of_run(parameter: str, run_dir: str, data: DataRecord) -> Checkpoint:
    where = f"{parameter} = {run_dir!r}"
    directory = local_path(run_dir) / "checkpoints"
    try:
        os.listdir(directory)  # names the setting where it leads nowhere
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a run directory.") from None
    checkpoint = load_for_use(directory)
    if checkpoint is None:
        raise UserError(f"{where} holds no checkpoint: give a run directory.")
    other = read_data_record(run_dir)
    if other is None:
        raise UserError(
            f"{where} has no data.json, which names the classes it was trained on: train it with this version, so that "
            "these can be told from the ones measured on."
        )
    for split in ("validation", "test"):
        seen = sorted(set(other["classes"]["train"]) & set(data["classes"][split]))
        if seen:
            raise UserError(
                f"{where} was trained on {len(seen)} {split} classes of this run, {seen[0]!r} among them, so that its "
                "accuracy on them would say nothing: pre-train with the same split of the classes."
            )
    return checkpoint
