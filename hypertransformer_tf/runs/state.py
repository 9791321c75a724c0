"""What a checkpoint holds: every variable of model and optimiser, by name, as arrays."""

import re
from typing import Any, Dict, Mapping

import numpy as np
import tensorflow as tf

from hypertransformer_tf import keras_stack
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.model.training_only import is_for_training_only

# Variables of a normalisation that the trained model may not have had.
_BLEND = re.compile(r"model/.*/log_weight$")


def model_arrays(model: HyperTransformer) -> Dict[str, np.ndarray]:
    """Copies of the model's variables by name."""
    return {
        f"model/{name}": np.array(tf.convert_to_tensor(variable)) for name, variable in model.named_variables().items()
    }


def optimizer_arrays(optimizer: Any) -> Dict[str, np.ndarray]:
    """Copies of the optimiser's variables, in one order on both stacks."""
    return {name: np.array(tf.convert_to_tensor(variable)) for name, variable in _named(optimizer).items()}


def restore_model(model: HyperTransformer, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays of `model_arrays` back. Raises UserError if they are of another model."""
    _assign({f"model/{name}": variable for name, variable in model.named_variables().items()}, arrays, "model/")


def restore_optimizer(optimizer: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays of `optimizer_arrays` back. Raises UserError if they are of another optimiser."""
    _assign(_named(optimizer), arrays, "optimizer/")


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


def restore_trained_model(model: HyperTransformer, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies a trained model's variables into one that may tell fewer classes apart or normalise otherwise.

    Of label embeddings, those of the first classes and of "no label" are taken. Heads that only meta-training uses
    begin anew where they differ, and so do variables that the trained model has not (TaskNorm's blend).

    Raises:
      UserError: the trained model is another one, or tells fewer classes apart.
    """
    kept = {}
    variables = {f"model/{name}": variable for name, variable in model.named_variables().items()}
    for name, variable in variables.items():
        if name in arrays:
            kept[name] = _for_classes(name, arrays[name], tuple(variable.shape))
    heads = [name for name in kept if _is_head(name) and kept[name].shape != tuple(variables[name].shape)]
    for name in heads:
        del kept[name]
    wrong = [name for name, array in kept.items() if array.shape != tuple(variables[name].shape)]
    wrong += [name for name in arrays if name.startswith("model/") and name not in variables and not _is_head(name)]
    wrong += [name for name in variables if name not in arrays and not _is_head(name) and not _BLEND.match(name)]
    if wrong:
        raise UserError(f"the trained model is another one: {wrong[0]} does not fit (and {len(wrong) - 1} more).")
    for name, array in kept.items():
        variables[name].assign(array)


def _is_head(name: str) -> bool:
    return is_for_training_only(name[len("model/") :])


def _for_classes(name: str, array: np.ndarray, shape: tuple) -> np.ndarray:
    """The rows of an array of embeddings that a model for fewer classes has."""
    if not shape or array.shape[1:] != shape[1:] or len(array) <= shape[0]:
        return array
    if name.endswith("/label_embeddings"):
        return np.concatenate([array[: shape[0] - 1], array[-1:]])
    return array[: shape[0]] if name.endswith("/weight_embeddings") else array


def _named(optimizer: Any) -> Dict[str, Any]:
    variables = keras_stack.optimizer_variables(optimizer)
    return {f"optimizer/{index:05d}": variable for index, variable in enumerate(variables)}


def _assign(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    given = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    wrong = sorted(set(variables) ^ set(given))
    wrong += [name for name in variables if name in given and tuple(variables[name].shape) != given[name].shape]
    if wrong:
        raise UserError(f"the checkpoint is of another model: {wrong[0]} does not fit (and {len(wrong) - 1} more).")
    for name, variable in variables.items():
        variable.assign(given[name])
