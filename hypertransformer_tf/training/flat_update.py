"""The optimiser's update on one large variable instead of hundreds of small ones."""

from typing import Any, List, Sequence

import tensorflow as tf


class FlatUpdate:
    """Keeps all trained variables of a model in one vector too, which is what the optimiser sees.

    An optimiser costs some ten operations a variable, and there are hundreds; for one vector it costs next to nothing,
    and devices exchange one gradient. After an update the vector's parts are written
    to the model's variables. Clipping by global norm and elementwise optimisers compute the same as on the parts.

    Args:
      variables: trained variables of a model, all float32.
      optimizer: Keras optimiser, without variables yet.

    Attributes:
      vector: the vector.
    """

    def __init__(self, variables: Sequence[Any], optimizer: Any):
        self._variables, self._optimizer = list(variables), optimizer
        self._shapes = [tuple(variable.shape) for variable in self._variables]
        self._sizes = [int(tf.TensorShape(shape).num_elements()) for shape in self._shapes]
        self.vector = tf.Variable(self._joined(), trainable=True, name="trained_variables")
        optimizer.build([self.vector])

    def gather(self) -> None:
        """Takes the variables' present values, after they were restored."""
        self.vector.assign(self._joined())

    def flatten(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """Gradients by variable as one vector."""
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)

    def apply(self, gradient: tf.Tensor) -> None:
        """Updates vector and variables with a gradient from `flatten`."""
        self._optimizer.apply_gradients([(gradient, self.vector)])
        for variable, part, shape in zip(self._variables, tf.split(self.vector, self._sizes), self._shapes):
            variable.assign(tf.reshape(part, shape))

    def _joined(self) -> tf.Tensor:
        values: List[tf.Tensor] = [tf.convert_to_tensor(variable) for variable in self._variables]
        return self.flatten(values)
