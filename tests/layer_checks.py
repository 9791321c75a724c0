"""What every layer with variables must do, in one place."""

import json
from typing import Any, Callable, Sequence, Tuple

import keras
import numpy as np
import tensorflow as tf

from hypertransformer_tf.keras_stack import KERAS_2, layers_compute_as

Call = Callable[..., Any]


def randomise(layer: Any, seed: int = 0, scale: float = 0.5) -> Any:
    """Gives every variable random values, so that zeros and ones of initialisers hide nothing; returns the layer."""
    stream = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(stream.normal(scale=scale, size=tuple(variable.shape)).astype(np.float32))
    return layer


def path_of(variable: Any) -> str:
    """The path of a variable: `layer/sub_layer/name`; Keras 2 only knows its name."""
    return getattr(variable, "path", variable.name)


def tensorflow_variable(variable: Any) -> tf.Variable:
    """What a tape knows a variable by: Keras 3 wraps TensorFlow's, Keras 2 does not."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _outputs(result: Any) -> list:
    return [output for output in tf.nest.flatten(result) if output is not None]


def check_layer(
    make: Callable[[], keras.layers.Layer],
    inputs: Sequence[Any],
    *,
    build: Sequence[Any],
    output_shapes: Sequence[Tuple[int, ...]],
    variables: int,
    call: Call = lambda layer, *inputs: layer(*inputs),
    leading_axes: int = 2,
    without_gradient: Callable[[Any], Sequence[Any]] = lambda layer: (),
    computes_in: str = "",
) -> keras.layers.Layer:
    """Holds a layer against what every layer of the library must do.

    Args:
      make: makes the layer, not built.
      inputs: arrays that the layer is called with.
      build: arguments of `build`.
      output_shapes: of the outputs, in order.
      variables: how many there are.
      call: what to call, for layers that want more than their inputs.
      leading_axes: axes of the inputs whose length may be unknown in a graph.
      without_gradient: gives the variables of the layer that the output does not depend on.
      computes_in: dtype of the outputs under every policy; unset means the policy's own.

    Returns:
      The layer, built and with random values in its variables.
    """
    layer = make()
    layer.build(*build)
    layer.build(*build)
    assert len(layer.weights) == variables, "building twice makes variables twice"
    randomise(layer)
    tensors = [tf.convert_to_tensor(array) for array in inputs]
    outputs = _outputs(call(layer, *tensors))
    assert [tuple(output.shape) for output in outputs] == [tuple(shape) for shape in output_shapes]
    assert {output.dtype for output in outputs} == {tf.float32}
    assert len(layer.weights) == variables
    _check_paths(layer)
    _check_round_trip(layer, build, call, tensors, outputs)
    _check_gradients(layer, call, tensors, without_gradient)
    _check_graph(layer, call, tensors, outputs, leading_axes)
    if not KERAS_2:  # which casts a layer's first argument alone, so that one called by itself mixes dtypes
        _check_policy(make, build, call, tensors, computes_in)
    return layer


def _check_policy(make, build, call, tensors, computes_in, policy="mixed_bfloat16") -> None:
    with layers_compute_as(policy):
        layer = make()
        layer.build(*build)
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    again.build(*build)  # outside: what it makes for itself takes the policy from it alone
    for each in (layer, again):
        for part in each._flatten_layers():
            assert part.dtype_policy.name == policy, f"{part.name} computes as {part.dtype_policy.name}"
        assert {tf.as_dtype(variable.dtype) for variable in each.weights} <= {tf.float32}
        dtypes = {output.dtype for output in _outputs(call(each, *tensors))}
        assert dtypes == {tf.as_dtype(computes_in or layer.compute_dtype)}


def _check_paths(layer: keras.layers.Layer) -> None:
    if not layer.weights or not hasattr(layer.weights[0], "path"):
        return
    paths = [path_of(variable) for variable in layer.weights]
    assert len(set(paths)) == len(paths), f"two variables share a path: {sorted(paths)}"
    for path in paths:
        parts = path.split("/")
        assert "variable" not in parts[-1], f"{path} says nothing"
        assert layer.name in parts, f"{path} does not name the layer {layer.name}"


def _check_round_trip(layer, build, call, tensors, outputs) -> None:
    config = layer.get_config()
    again = type(layer).from_config(json.loads(json.dumps(config)))
    again.build(*build)
    assert again.get_config() == config
    assert len(again.weights) == len(layer.weights)
    for variable, original in zip(again.weights, layer.weights):
        assert tuple(variable.shape) == tuple(original.shape)
        variable.assign(original)
    for output, expected in zip(_outputs(call(again, *tensors)), outputs):
        np.testing.assert_array_equal(output, expected)


def _check_gradients(layer, call, tensors, without_gradient) -> None:
    stream = np.random.default_rng(1)
    with tf.GradientTape() as tape:
        outputs = _outputs(call(layer, *tensors))
        total = tf.add_n([tf.reduce_sum(output * stream.normal(size=output.shape)) for output in outputs])
    if not layer.trainable_variables:
        return
    gradients = tape.gradient(total, [tensorflow_variable(variable) for variable in layer.trainable_variables])
    sizes = [0.0 if gradient is None else float(tf.norm(gradient)) for gradient in gradients]
    silent = {id(variable) for variable in without_gradient(layer)}
    for variable, size in zip(layer.trainable_variables, sizes):
        if id(variable) in silent:
            assert size <= 1e-4 * max(sizes), f"{path_of(variable)} has a gradient, {size}"
        else:
            assert size > 0.0, f"no gradient reaches {path_of(variable)}"


def _check_graph(layer, call, tensors, outputs, leading_axes) -> None:
    signature = [
        tf.TensorSpec([None] * leading_axes + tensor.shape[leading_axes:].as_list(), tensor.dtype) for tensor in tensors
    ]
    graph = tf.function(lambda *inputs: _outputs(call(layer, *inputs)), input_signature=signature)
    for output, expected in zip(graph(*tensors), outputs):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
