"""What differs between the two stacks: Keras 3, and Keras 2.15 with TensorFlow Addons (TFA)."""

import contextlib
import functools
import warnings
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import keras
import tensorflow as tf

from hypertransformer_tf.errors import UserError

KERAS_2 = keras.__version__.startswith("2.")

# --- layers and variables ---------------------------------------------------------------------------------------------


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


@contextlib.contextmanager
def layers_compute_as(policy: Any) -> Iterator[None]:
    """Layers that are made inside get this dtype policy, those that layers make for themselves too."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _add(paths: Dict[str, Any], more: Dict[str, Any]) -> None:
    for path, variable in more.items():
        if path in paths and paths[path] is not variable:
            raise ValueError(f"two variables have the path {path!r}")
        paths[path] = variable


def tensorflow_variable(variable: Any) -> tf.Variable:
    """TensorFlow's variable of a layer's: Keras 3 wraps it, Keras 2.15 does not."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def reciprocal_root(features: Any) -> Any:
    """1 / sqrt of a functional model's tensor: Keras 2.15 has no `keras.ops`, and saves TensorFlow's operations."""
    return tf.math.rsqrt(features) if KERAS_2 else keras.ops.rsqrt(features)


# --- optimisers -------------------------------------------------------------------------------------------------------


class _Product(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a number."""

    def __init__(self, schedule: Any, factor: float):
        self._schedule, self._factor = schedule, factor

    def __call__(self, step: Any) -> tf.Tensor:
        return self._factor * self._schedule(step)

    def get_config(self) -> Dict[str, Any]:
        return {"schedule": keras.optimizers.schedules.serialize(self._schedule), "factor": self._factor}


def make_optimizer(
    name: str, learning_rate: Any, clip_norm: Optional[float], beta_2: float, weight_decay: float
) -> Any:
    """The optimiser of a name, which computes the same on both stacks (BUILD_NOTES.md says to what difference).

    Args:
      name: `sgd`, `sgdw`, `adam`, `adamw`, `nadam` or `lamb`.
      learning_rate: number or Keras schedule.
      clip_norm: gradients of a larger global norm are scaled down to it; None is no clipping.
      beta_2: of all but `sgd` and `sgdw`.
      weight_decay: of `sgdw`, `adamw` and `lamb`, times the learning rate in each step.

    Raises:
      UserError: TFA is needed, as this is Keras 2, and is not installed.
    """
    settings = {"learning_rate": learning_rate, "global_clipnorm": clip_norm}
    if not name.startswith("sgd"):
        settings["beta_2"] = beta_2
    return _addons_optimizer(name, settings, weight_decay) if KERAS_2 else _optimizer(name, settings, weight_decay)


def _optimizer(name: str, settings: Dict[str, Any], weight_decay: float) -> Any:
    optimizers = keras.optimizers
    if name == "lamb":
        from hypertransformer_tf.lamb import Lamb  # late: Keras 2 has none that it could be made from

        return Lamb(decay=weight_decay, epsilon=1e-6, **settings)
    if name in ("sgdw", "adamw"):
        settings["weight_decay"] = weight_decay
    return {
        "sgd": optimizers.SGD,
        "sgdw": optimizers.SGD,
        "adam": optimizers.Adam,
        "adamw": optimizers.AdamW,
        "nadam": optimizers.Nadam,
    }[name](**settings)


def _addons_optimizer(name: str, settings: Dict[str, Any], weight_decay: float) -> Any:
    optimizers = keras.optimizers
    if name in ("sgd", "adam"):  # the kind that TFA builds on and can average
        return {"sgd": optimizers.legacy.SGD, "adam": optimizers.legacy.Adam}[name](**settings)
    if name == "nadam":  # the other kind: that one would take no schedule
        return optimizers.Nadam(**settings)
    if name == "lamb":
        return _addons().optimizers.LAMB(weight_decay=weight_decay, epsilon=1e-6, **settings)
    rate = settings["learning_rate"]
    # TFA's takes the decay as it is given, Keras' times the learning rate.
    decay = _Product(rate, weight_decay) if callable(rate) else rate * weight_decay
    return {"sgdw": _addons().optimizers.SGDW, "adamw": _addons().optimizers.AdamW}[name](decay, **settings)


def _addons() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TFA has come to its end
            import tensorflow_addons
    except ImportError:
        raise UserError(
            f"Keras {keras.__version__} needs TensorFlow Addons for this optimiser: install it with "
            "`pip install -e .[addons]`, with the constraints of README.md, or install Keras 3."
        ) from None
    return tensorflow_addons


def averaging_optimizer(optimizer: Any, decay: float) -> Optional[Any]:
    """TFA's `MovingAverage` around an optimiser of `make_optimizer`, not built yet; None where it cannot be had.

    That is on Keras 3, and for `nadam`. It counts its steps and clips as the optimiser does; its average of a variable
    is the slot `average`.
    """
    if not _is_legacy(optimizer):
        return None
    averaging = _addons().optimizers.MovingAverage(
        optimizer, average_decay=decay, dynamic_decay=True, global_clipnorm=optimizer.global_clipnorm
    )
    averaging.iterations = optimizer.iterations
    return averaging


def build_optimizer(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the optimiser's variables for those that it is to update."""
    if _is_legacy(optimizer):
        optimizer._create_all_weights(list(variables))
    else:
        optimizer.build(list(variables))


def apply_gradients(
    optimizer: Any,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    strategy: tf.distribute.Strategy,
) -> None:
    """Updates variables that were made under `strategy` with gradients that its devices share already."""
    if not _is_legacy(optimizer):
        optimizer.apply_gradients(list(zip(gradients, variables)))
        return

    def on_replica(*gradients: tf.Tensor) -> None:
        optimizer.apply_gradients(list(zip(gradients, variables)), experimental_aggregate_gradients=False)

    strategy.run(on_replica, args=tuple(gradients))


def learning_rate(optimizer: Any) -> float:
    """The rate of the next step."""
    rate = getattr(optimizer, "_learning_rate", optimizer.learning_rate) if KERAS_2 else optimizer.learning_rate
    return float(tf.convert_to_tensor(rate(optimizer.iterations) if callable(rate) else rate))


def optimizer_variables(optimizer: Any) -> List[Any]:
    """All variables of a built optimiser of `make_optimizer`, in one order on both stacks, that of Keras 3.

    That is: number of steps, learning rate unless it is a schedule, both moments of each variable, and of Nadam the
    product of its momentum's schedule.
    """
    if not KERAS_2:
        return list(optimizer.variables)
    if not _is_legacy(optimizer):
        steps, *moments = optimizer.variables()
        return [steps, *_variable(optimizer._learning_rate), *moments, optimizer._u_product]
    steps, *slots = optimizer.weights  # first moments of all variables, then second ones
    half = len(slots) // 2
    moments = [each for pair in zip(slots[:half], slots[half:]) for each in pair]
    return [steps, *_variable(optimizer.learning_rate), *moments]


def _variable(rate: Any) -> List[tf.Variable]:
    return [rate] if isinstance(rate, tf.Variable) else []


def _is_legacy(optimizer: Any) -> bool:
    return KERAS_2 and isinstance(optimizer, keras.optimizers.legacy.Optimizer)
