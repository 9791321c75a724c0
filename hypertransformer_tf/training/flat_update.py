"""The optimiser's update on one large variable instead of hundreds of small ones, and the average of what it makes."""

import contextlib
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from hypertransformer_tf import keras_stack
from hypertransformer_tf.training.loss_scale import LossScale

_STATE = "update/"
_FIRST_STEPS = 9.0  # the average forgets the initial values in about as many


class FlatUpdate:
    """Keeps all trained variables of a model in one vector too, which is what the optimiser sees.

    An optimiser costs some ten operations a variable, and there are hundreds; for one vector it costs next to nothing,
    and devices exchange one gradient. After an update the vector's parts are written to the model's variables. Clipping
    by global norm and elementwise optimisers compute the same as on the parts. Layer-wise optimisers do not: they get a
    copy of each variable instead of the vector.

    Args:
      variables: trained variables of a model, all float32.
      optimizer: of `keras_stack.make_optimizer`, without variables yet.
      average: decay per step of a moving average of what is trained, smaller in the first steps (done / (done + 9), as
        TFA's `MovingAverage` with `dynamic_decay`); 0 keeps none.
      layerwise: the optimiser treats each variable by its norm.
      loss_scale: says which gradients are not used, and is adjusted after each; None uses all.
      compile: let XLA join the operations on the vector, which read it some twenty times otherwise. It has no effect
        under the scope of a strategy of several replicas, or where the optimiser is layer-wise.

    Attributes:
      vector: (P,) float32, all that is trained, in the order of the variables.
      loss_scale: as given.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        optimizer: Any,
        average: float = 0.0,
        layerwise: bool = False,
        loss_scale: Optional[LossScale] = None,
        compile: bool = False,
    ):
        self.loss_scale = loss_scale
        self._variables, self._optimizer, self._decay = list(variables), optimizer, average
        self._shapes = [tuple(variable.shape) for variable in self._variables]
        self._sizes = [int(tf.TensorShape(shape).num_elements()) for shape in self._shapes]
        self._size = sum(self._sizes)
        self._strategy, self._layerwise = tf.distribute.get_strategy(), layerwise
        self._trained = [tf.Variable(value, trainable=True) for value in self._pieces(self._joined())]
        averaging = keras_stack.averaging_optimizer(optimizer, average) if average > 0 else None
        self._applied, self._averages_itself = averaging or optimizer, averaging is not None
        keras_stack.build_optimizer(self._applied, self._trained)
        self._averages: List[tf.Variable] = []
        if averaging is not None:
            self._averages = [averaging.get_slot(trained, "average") for trained in self._trained]
        elif average > 0:
            self._averages = [tf.Variable(trained, trainable=False) for trained in self._trained]
        # Parts are many to compile; several replicas were not tried.
        compile = compile and not layerwise and self._strategy.num_replicas_in_sync == 1
        self._advance = (
            tf.function(self._update_trained, jit_compile=True, autograph=False) if compile else self._update_trained
        )

    @property
    def vector(self) -> tf.Tensor:
        """All that is trained, as one vector."""
        return self.flatten(self._trained)

    def gather(self) -> None:
        """Takes the variables' present values, after they were restored."""
        self._train_from(self._joined())
        for average, trained in zip(self._averages, self._trained):
            average.assign(trained)

    def flatten(self, gradients: Sequence[Any]) -> tf.Tensor:
        """Gradients by variable as one vector (P,)."""
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)

    def apply(self, gradient: tf.Tensor) -> None:
        """Updates what is trained, its average and the variables with a gradient from `flatten`.

        Numbers behind it in the same vector are not read. Where XLA compiles the update it costs nothing to leave them
        there, and cutting them off outside would be a copy.

        Where the scale of the loss says that the gradient is not to be used, nothing but the scale changes.
        """
        if self.loss_scale is None:
            self._apply(gradient)
            return
        used = self.loss_scale.is_to_be_used(gradient[: self._size])
        tf.cond(used, lambda: self._apply(gradient), lambda: False)
        self.loss_scale.adjust(used)

    def _apply(self, gradient: tf.Tensor) -> bool:
        """Updates; returns True, as a branch of a condition must return something."""
        self._advance(gradient)
        self._write(self._trained)
        return True

    def _update_trained(self, gradient: tf.Tensor) -> None:
        """Updates what is trained, and its average."""
        gradients = self._pieces(gradient[: self._size])
        keras_stack.apply_gradients(self._applied, gradients, self._trained, self._strategy)
        if not self._averages_itself:
            share = 1.0 - self._present_decay()
            for average, trained in zip(self._averages, self._trained):
                average.assign_add(share * (trained - average))

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """While it lasts, the model's variables hold the average, if one is kept."""
        if not self._averages:
            yield
            return
        self._write(self._averages)
        try:
            yield
        finally:
            self._write(self._trained)

    def state(self) -> Dict[str, np.ndarray]:
        """What a checkpoint needs beside the variables under `averaged`.

        The vector, if it is not made of these, and the scale of the loss, if there is one.
        """
        state = {f"{_STATE}trained_variables": self.vector.numpy()} if self._averages else {}
        return state if self.loss_scale is None else {**state, **self.loss_scale.state()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from a checkpoint's arrays, once the model's variables, which are the average, were restored."""
        self.gather()
        if self.loss_scale is not None:
            self.loss_scale.restore(arrays)
        if self._averages:
            self._train_from(tf.constant(arrays[f"{_STATE}trained_variables"]))
            self._write(self._trained)

    def _present_decay(self) -> tf.Tensor:
        done = tf.cast(self._optimizer.iterations, tf.float32)
        return tf.minimum(self._decay, done / (done + _FIRST_STEPS))

    def _train_from(self, vector: tf.Tensor) -> None:
        for trained, value in zip(self._trained, self._pieces(vector)):
            trained.assign(value)

    def _pieces(self, vector: Any) -> List[tf.Tensor]:
        """A vector as what the optimiser sees: itself, or its parts."""
        return self._parts(vector) if self._layerwise else [vector]

    def _parts(self, vector: Any) -> List[tf.Tensor]:
        return [tf.reshape(part, shape) for part, shape in zip(tf.split(vector, self._sizes), self._shapes)]

    def _write(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._variables, values if self._layerwise else self._parts(values[0])):
            variable.assign(value)

    def _joined(self) -> tf.Tensor:
        return self.flatten([tf.convert_to_tensor(variable) for variable in self._variables])
