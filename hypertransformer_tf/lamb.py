"""LAMB on the current stack, where Keras' own leaves the weight decay out of the trust ratio."""

from typing import Any, Dict

import keras
import tensorflow as tf


@keras.utils.register_keras_serializable(package="hypertransformer_tf")
class Lamb(keras.optimizers.Lamb):
    """LAMB as in You et al., "Large Batch Optimization for Deep Learning" (ICLR 2020, Algorithm 2), and in TFA.

    A variable x of any shape moves by r * rate * (u + decay * x), where u is Adam's direction and r the ratio of the
    norms of x and of what is in the brackets; r is 1 where one of them is zero. Keras' own Lamb takes the decay off
    before, outside of r. Moments, their names and their order are Keras'.

    Args:
      decay: weight decay, not negative.
      **settings: of `keras.optimizers.Lamb`, such as `learning_rate`, `beta_1`, `beta_2` and `epsilon`; not
        `weight_decay`.
    """

    def __init__(self, decay: float = 0.0, **settings: Any):
        super().__init__(**settings)
        self.decay = decay

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable by its dense gradient, of the same shape and dtype."""
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        value, step = tf.convert_to_tensor(variable), tf.cast(self.iterations + 1, variable.dtype)
        self.assign_add(momentum, (1 - self.beta_1) * (gradient - momentum))
        self.assign_add(velocity, (1 - self.beta_2) * (tf.square(gradient) - velocity))
        mean, mean_square = momentum / (1 - self.beta_1**step), velocity / (1 - self.beta_2**step)
        update = mean / (tf.sqrt(mean_square) + self.epsilon) + self.decay * value
        ratio = tf.math.divide_no_nan(tf.norm(value), tf.norm(update))
        ratio = tf.where(ratio > 0, ratio, 1.0)
        self.assign_sub(variable, ratio * tf.cast(learning_rate, variable.dtype) * update)

    def get_config(self) -> Dict[str, Any]:
        config = {**super().get_config(), "decay": self.decay}
        config.pop("weight_decay")  # the constructor above passes everything else on
        return config
