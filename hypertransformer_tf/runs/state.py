"""What a checkpoint holds: every variable of model and optimiser, by name, as arrays."""

from typing import Any, Dict, Mapping

import numpy as np
import tensorflow as tf

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer


def model_arrays(model: HyperTransformer) -> Dict[str, np.ndarray]:
    """The model's variables by name."""
    return {
        f"model/{name}": np.asarray(tf.convert_to_tensor(variable))
        for name, variable in model.named_variables().items()
    }


def optimizer_arrays(optimizer: Any) -> Dict[str, np.ndarray]:
    """The optimiser's variables, in the order in which it makes them."""
    return {
        f"optimizer/{index:05d}": np.asarray(tf.convert_to_tensor(variable))
        for index, variable in enumerate(_variables(optimizer))
    }


def restore_model(model: HyperTransformer, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays of `model_arrays` back. Raises UserError if they are of another model."""
    _assign({f"model/{name}": variable for name, variable in model.named_variables().items()}, arrays, "model/")


def restore_optimizer(optimizer: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays of `optimizer_arrays` back. Raises UserError if they are of another optimiser."""
    variables = {f"optimizer/{index:05d}": variable for index, variable in enumerate(_variables(optimizer))}
    _assign(variables, arrays, "optimizer/")


def restore_shared_features(model: HyperTransformer, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies the shared feature extractor and the head on it as far as both models have them.

    A head for another number of classes begins anew.

    Raises:
      UserError: the two have no shared features in common, or they differ in shape.
    """
    variables = {f"model/{name}": variable for name, variable in model.named_variables().items()}
    both = {name: variables[name] for name in variables if name in arrays}
    features = {name: variable for name, variable in both.items() if name.startswith("model/shared_features/")}
    head = {name: variable for name, variable in both.items() if name.startswith("model/shared_head/")}
    if not features:
        raise UserError("the checkpoint has none of this model's shared features (features.shared_layers).")
    if any(tuple(variable.shape) != arrays[name].shape for name, variable in head.items()):
        head = {}
    wanted = {**features, **head}
    _assign(wanted, {name: arrays[name] for name in wanted}, "model/shared")


def _variables(optimizer: Any) -> list:
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def _assign(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    given = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    wrong = sorted(set(variables) ^ set(given))
    wrong += [name for name in variables if name in given and tuple(variables[name].shape) != given[name].shape]
    if wrong:
        raise UserError(f"the checkpoint is of another model: {wrong[0]} does not fit (and {len(wrong) - 1} more).")
    for name, variable in variables.items():
        variable.assign(given[name])
