"""The gin file that a row is trained from: the row's own, and on a budget our recipe, length and start behind it."""

import functools
import pathlib
from typing import Optional

from hypertransformer_tf.cnn.architecture import reads_whole_map
from hypertransformer_tf.cnn.config import CONVOLUTIONS
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.reproduction.budget import Budget

_WARMUP, _LONGEST_WARMUP = 0.3, 1_000  # of the steps; steps
_FIRST_PART = 0.25  # of the steps: after them the loss is the one that is measured
_VALIDATIONS, _CHECKPOINTS = 8, 20  # in a run on a budget
_GROUPS = (2, 4, 8)  # of the eight episodes of a step; the first is our recipe's
_VALUES_AT_ONCE = 2_200_000  # of the first layer's map, of all images of a group: more do not stay in a cache


def composed_text(file: str, steps: Optional[int], row: Experiment) -> str:
    """The text of the file.

    Args:
      file: the row's, by its name within gin/.
      steps: of a run on a budget; None trains by the row's own recipe.
      row: what the row's file says: our recipe leaves out what its model has no place for.
    """
    lines = [f"# Written by bin/reproduce for the row {pathlib.PurePosixPath(file).stem}.", f"include '{file}'"]
    if steps is not None:
        warmup = min(_LONGEST_WARMUP, int(_WARMUP * steps))
        lines += [
            "include 'recipe/budget.gin'",
            "",
            f"optimizer.warmup_steps = {warmup}",
            f"optimizer.decay_steps = {max(1, steps - warmup)}",
            f"training.steps = {steps}",
            f"training.validate_every = {max(1, steps // _VALIDATIONS)}",
            f"training.checkpoint_every = {max(1, steps // _CHECKPOINTS)}",
            *_groups(row),
            *_where_classes_begin(row),
        ]
        lines += _first_part(row, steps)
        lines += _what_does_not_fit(row)
    return "\n".join(lines) + "\n"


def _first_part(row: Experiment, steps: int) -> list[str]:
    """Bindings that end what a loss begins with, such as heads that are warmed up, in time."""
    own = {"loss.head_steps": row.loss.head_steps, "maml.multi_step_loss_steps": row.maml.multi_step_loss_steps}
    return [f"{name} = {min(count, int(_FIRST_PART * steps))}" for name, count in own.items() if count]


def _groups(row: Experiment) -> list[str]:
    """A binding where the two groups of our recipe are too large: the same model in less time."""
    side = -(-row.data.image_size // row.cnn.stride)
    values = row.episodes.images * side**2 * row.cnn.channels
    groups = next(count for count in _GROUPS if count == _GROUPS[-1] or values * _GROUPS[-1] <= _VALUES_AT_ONCE * count)
    return [] if groups == _GROUPS[0] else [f"training.groups = {groups}"]


def _where_classes_begin(row: Experiment) -> list[str]:
    """Initial values near the mean of each class's maps, which the logits layer's generator has to read for that."""
    features, transformer = row.features, row.transformer
    encoder = row.method.name == "hypertransformer" and transformer.variant == "encoder"
    if not (encoder and transformer.attention == "softmax" and reads_whole_map(row.cnn.architecture)):
        return []
    logits = "mix" if features.logits == "convolution" else features.logits
    lines = [f"features.logits = {logits!r}"] if logits != features.logits else []
    if logits != "convolution" and row.episodes.unlabelled_per_class and transformer.layers > 1:
        lines.append("transformer.spread_labels = True")
    return lines


def _what_does_not_fit(row: Experiment) -> list[str]:
    """Bindings for what our recipe sets and this row's model has no place for."""
    lines = []
    baseline = row.method.name != "hypertransformer"
    if baseline:
        for name in ("learning_rate", "clip_norm"):  # our own are for transformers
            lines.append(f"optimizer.{name} = {getattr(row.optimizer, name)!r}")
    if baseline or abs(row.cnn.trained_layers) == CONVOLUTIONS[row.cnn.architecture]:
        lines.append("transformer.attention_scale = 1.0")  # no convolution is generated
    if row.transformer.variant != "encoder":
        lines.append("transformer.match_labels = False")
    if baseline or row.features.shared_layers == 0:
        lines.append("loss.shared_head = 0.0")
    return lines


@functools.cache
def episodes_of_a_step() -> int:
    """The task batch of our recipe for budgets."""
    return load_experiment("recipe/budget.gin").training.task_batch


def steps_of(budget: Budget, episodes_per_second: float) -> int:
    """Steps that fit into a budget of minutes."""
    return max(1, int(60 * (budget.minutes or 0) * episodes_per_second / episodes_of_a_step()))
