"""Which settings of an experiment have no effect with its method: setting one is an error. Needs no TensorFlow."""

import dataclasses
from typing import Any, Mapping

from hypertransformer_tf.errors import UserError

# What a user would expect to act on a baseline too, and does not.
_HYPERTRANSFORMER_ONLY = (
    "cnn.dropout",
    "cnn.separate_query_variables",
    "cnn.warmup_heads",
    "loss.l2",
    "loss.variation",
    "loss.only_shared_head",
    "loss.head_steps",
    "loss.max_remove_labelled",
    "loss.max_remove_unlabelled",
    "training.shared_features_from",
    "training.model_from",
    "training.precision",
    "training.convolution_form",
)
_MAML_ONLY = (
    "maml.inner_steps",
    "maml.inner_learning_rate",
    "maml.evaluation_steps",
    "maml.second_order",
    "maml.learn_inner_rates",
    "maml.multi_step_loss_steps",
)

_ORACLE_ONLY = ("oracle.steps", "oracle.learning_rate", "oracle.momentum", "oracle.batch")


def check_method(parts: Mapping[str, Any]) -> None:
    """Checks settings, by their gin names, against the method.

    Raises:
      UserError: a setting has no effect with this method, a method that is meta-trained has no steps, or XLA should
        compile what it cannot.
    """
    method = parts["method"].name
    if method != "hypertransformer":
        _refuse(parts, _HYPERTRANSFORMER_ONLY, "'hypertransformer'")
    if method != "maml":
        _refuse(parts, _MAML_ONLY, "'maml'")
    if method != "oracle":
        _refuse(parts, _ORACLE_ONLY, "'oracle'")
    _check_steps(parts)
    if method == "rfs" and parts["training"].compile:
        raise UserError(
            "training.compile = True: method.name = 'rfs' calls scikit-learn, which XLA cannot compile; set "
            "training.compile = False."
        )


def _check_steps(parts: Mapping[str, Any]) -> None:
    method, steps = parts["method"], parts["training"].steps
    if method.is_meta_trained and steps < 1:
        raise UserError(f"training.steps = {steps}: it must be a whole number, at least 1.")
    if not method.is_meta_trained and steps > 0:
        raise UserError(
            f"training.steps = {steps} would have no effect: method.name = {method.name!r} is not meta-trained; set "
            "training.steps = 0."
        )
    if not method.is_meta_trained and parts["loss"].label_smoothing > 0:
        raise UserError(
            f"loss.label_smoothing = {parts['loss'].label_smoothing!r} would have no effect: method.name = "
            f"{method.name!r} is not meta-trained; take it out."
        )
    if not method.is_meta_trained:
        _refuse_optimizer(parts)


def _refuse_optimizer(parts: Mapping[str, Any]) -> None:
    optimizer = parts["optimizer"]
    for field in dataclasses.fields(optimizer):
        value = getattr(optimizer, field.name)
        if value != field.default:
            raise UserError(
                f"optimizer.{field.name} = {value!r} would have no effect: method.name = {parts['method'].name!r} is "
                "not meta-trained; take it out (what the oracle does is set by oracle.steps, oracle.learning_rate, "
                "oracle.momentum and oracle.batch)."
            )


def _refuse(parts: Mapping[str, Any], settings: tuple[str, ...], method: str) -> None:
    for setting in settings:
        part, _, parameter = setting.partition(".")
        value = getattr(parts[part], parameter)
        default = next(field.default for field in dataclasses.fields(parts[part]) if field.name == parameter)
        if value != default:
            raise UserError(
                f"{setting} = {value!r} would have no effect: it needs method.name = {method}, not "
                f"{parts['method'].name!r}; take it out."
            )
