"""What differs between the two Keras stacks, 2.15 and 3."""

import functools
from typing import Any, Callable, Dict

import keras


def build_once(build: Callable[..., None]) -> Callable[..., None]:
    """For a layer's `build`: the first call makes the variables, later ones do nothing.

    Only Keras 3 notes by itself that a layer whose `build` was called is built.
    """

    @functools.wraps(build)
    def build_if_needed(layer: keras.layers.Layer, *shapes: Any, **named_shapes: Any) -> None:
        if not layer.built:
            build(layer, *shapes, **named_shapes)
            layer.built = True

    return build_if_needed


def variables_by_path(layer: keras.layers.Layer) -> Dict[str, Any]:
    """All variables of a layer by path: names of the layers on the way, then the variable's, such as `dense/kernel`.

    Keras 3 knows such paths, Keras 2.15 does not; names of layers and variables are the same on both.

    Raises:
      ValueError: two variables have the same path.
    """
    paths: Dict[str, Any] = {}
    children = list(layer._flatten_layers(include_self=False, recursive=False))
    inherited = {id(variable) for child in children for variable in child.variables}
    for child in children:
        _add(paths, {f"{child.name}/{path}": variable for path, variable in variables_by_path(child).items()})
    own = [variable for variable in layer.variables if id(variable) not in inherited]
    for variable in own:
        _add(paths, {variable.name.split("/")[-1].split(":")[0]: variable})
    return paths


def _add(paths: Dict[str, Any], more: Dict[str, Any]) -> None:
    for path, variable in more.items():
        if path in paths and paths[path] is not variable:
            raise ValueError(f"two variables have the path {path!r}")
        paths[path] = variable
