"""Which settings of an experiment need others: one that would have no effect is an error, not a surprise later."""

import dataclasses
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.config import DECAYING, SECOND_MOMENT

Settings = Mapping[str, Any]


class _Need(NamedTuple):
    """A parameter that has an effect only where `met` holds; `remedy` says so in words."""

    parameter: str
    remedy: str
    met: Callable[[Settings], bool]


def _shared(parameter: str) -> _Need:
    return _Need(parameter, "features.shared_layers above 0", lambda parts: parts["features"].shared_layers > 0)


def _optimizer(parameter: str, names: Sequence[str]) -> _Need:
    *first, last = map(repr, names)
    remedy = f"optimizer.name = {', '.join(first)} or {last}"
    return _Need(parameter, remedy, lambda parts: parts["optimizer"].name in names)


_NEEDS = (
    _shared("loss.shared_head"),
    _shared("loss.only_shared_head"),
    _shared("training.shared_features_from"),
    _Need("loss.shared_head_steps", "loss.shared_head above 0", lambda parts: parts["loss"].shared_head > 0),
    _Need(
        "loss.head_steps",
        "cnn.warmup_heads = 'generated' or 'trained'",
        lambda parts: parts["cnn"].warmup_heads != "none",
    ),
    _Need("cnn.warmup_heads", "loss.head_steps above 0", lambda parts: parts["loss"].head_steps > 0),
    _Need(
        "loss.variation",
        "generator.add_trained_weights = True",
        lambda parts: parts["generator"].add_trained_weights,
    ),
    _Need(
        "loss.max_remove_unlabelled",
        "episodes.unlabelled_per_class above 0",
        lambda parts: parts["episodes"].unlabelled_per_class > 0,
    ),
    _optimizer("optimizer.weight_decay", DECAYING),
    _optimizer("optimizer.beta_2", SECOND_MOMENT),
    _Need(
        "optimizer.decay_rate",
        "optimizer.schedule = 'exponential'",
        lambda parts: parts["optimizer"].schedule == "exponential",
    ),
)


def check_together(parts: Settings) -> None:
    """Checks settings against each other, by their gin names.

    Raises:
      UserError: a setting has no effect, attention heads do not divide a size, or the schedule ends before training.
    """
    for need in _NEEDS:
        name, _, parameter = need.parameter.partition(".")
        value = getattr(parts[name], parameter)
        default = next(field.default for field in dataclasses.fields(parts[name]) if field.name == parameter)
        if value != default and not need.met(parts):
            raise UserError(
                f"{need.parameter} = {value!r} would have no effect: it needs {need.remedy}; set that, or take it out."
            )
    _check_heads(parts["transformer"])
    _check_schedule(parts["optimizer"], parts["training"].steps)


def _check_heads(transformer: Any) -> None:
    # Fractions of the token size are known only once the layers are; those of the joint variants are rounded.
    for name in ("query_key_size", "value_size"):
        size = getattr(transformer, name)
        if size > 3 and int(size) % transformer.heads:
            raise UserError(
                f"transformer.heads = {transformer.heads} does not divide transformer.{name} = {size:g}: change one of "
                "the two."
            )


def _check_schedule(optimizer: Any, steps: int) -> None:
    end = optimizer.warmup_steps + optimizer.decay_steps
    if optimizer.schedule == "cosine" and steps > end:
        raise UserError(
            f"training.steps = {steps} goes past the cosine schedule, which comes to a learning rate of zero at step "
            f"{end} (optimizer.warmup_steps + optimizer.decay_steps = {optimizer.warmup_steps} + "
            f"{optimizer.decay_steps}): nothing would be trained after it; raise optimizer.decay_steps or take fewer "
            "steps."
        )
