"""The optimiser's update on one large variable instead of hundreds of small ones, and the average of what it makes."""

import contextlib
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from hypertransformer_tf.training.loss_scale import LossScale

_STATE = "update/"
_FIRST_STEPS = 10.0  # the average forgets the initial values in about as many


class FlatUpdate:
    """Keeps all trained variables of a model in one vector too, which is what the optimiser sees.

    An optimiser costs some ten operations a variable, and there are hundreds; for one vector it costs next to nothing,
    and devices exchange one gradient. After an update the vector's parts are written
    to the model's variables. Clipping by global norm and elementwise optimisers compute the same as on the parts.

    Args:
      variables: trained variables of a model, all float32.
      optimizer: Keras optimiser, without variables yet.
      average: decay per step of the vector's moving average; 0 keeps none.
      loss_scale: says which gradients are not used, and is adjusted after each; None uses all.

    Attributes:
      vector: the vector.
      loss_scale: as given.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        optimizer: Any,
        average: float = 0.0,
        loss_scale: Optional[LossScale] = None,
    ):
        self.loss_scale = loss_scale
        self._variables, self._optimizer, self._decay = list(variables), optimizer, average
        self._shapes = [tuple(variable.shape) for variable in self._variables]
        self._sizes = [int(tf.TensorShape(shape).num_elements()) for shape in self._shapes]
        self.vector = tf.Variable(self._joined(), trainable=True, name="trained_variables")
        self._average: Optional[tf.Variable] = None
        if average > 0:
            self._average = tf.Variable(self.vector, trainable=False, name="averaged_variables")
        optimizer.build([self.vector])

    def gather(self) -> None:
        """Takes the variables' present values, after they were restored."""
        self.vector.assign(self._joined())
        if self._average is not None:
            self._average.assign(self.vector)

    def flatten(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """Gradients by variable as one vector."""
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)

    def apply(self, gradient: tf.Tensor) -> None:
        """Updates vector, average and variables with a gradient from `flatten`, or nothing if it is not to be used."""
        if self.loss_scale is None:
            self._apply(gradient)
            return
        used = self.loss_scale.is_to_be_used(gradient)
        tf.cond(used, lambda: self._applied(gradient), lambda: False)
        self.loss_scale.adjust(used)

    def _applied(self, gradient: tf.Tensor) -> bool:
        self._apply(gradient)
        return True

    def _apply(self, gradient: tf.Tensor) -> None:
        self._optimizer.apply_gradients([(gradient, self.vector)])
        if self._average is not None:
            self._average.assign_add((1.0 - self._present_decay()) * (self.vector - self._average))
        self._write(self.vector)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """While it lasts, the model's variables hold the average, if one is kept."""
        if self._average is None:
            yield
            return
        self._write(self._average)
        try:
            yield
        finally:
            self._write(self.vector)

    def state(self) -> Dict[str, np.ndarray]:
        """What a checkpoint needs beside the variables under `averaged`.

        The vector, if it is not made of these, and the scale of the loss, if there is one.
        """
        state = {} if self._average is None else {f"{_STATE}trained_variables": self.vector.numpy()}
        return state if self.loss_scale is None else {**state, **self.loss_scale.state()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from a checkpoint's arrays, once the model's variables, which are the average, were restored."""
        self.gather()
        if self.loss_scale is not None:
            self.loss_scale.restore(arrays)
        if self._average is not None:
            self.vector.assign(arrays[f"{_STATE}trained_variables"])
            self._write(self.vector)

    def _present_decay(self) -> tf.Tensor:
        done = tf.cast(self._optimizer.iterations, tf.float32)
        return tf.minimum(self._decay, done / (done + _FIRST_STEPS))

    def _write(self, vector: Any) -> None:
        for variable, part, shape in zip(self._variables, tf.split(vector, self._sizes), self._shapes):
            variable.assign(tf.reshape(part, shape))

    def _joined(self) -> tf.Tensor:
        values: List[tf.Tensor] = [tf.convert_to_tensor(variable) for variable in self._variables]
        return self.flatten(values)
