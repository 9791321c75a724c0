"""Dynamic loss scaling, without which float16 has no number small enough for most gradients."""

from typing import Dict, Mapping

import numpy as np
import tensorflow as tf

_FIRST = 2.0**15
_STEPS_BEFORE_DOUBLING = 2_000
_STATE = "update/loss_scale"


class LossScale:
    """The factor of the loss: halved after a gradient that is not finite, doubled after 2,000 that were.

    The numbers are those of Micikevicius et al., "Mixed Precision Training" (ICLR 2018), as Keras has them too. At a
    factor of 1 there is nothing left to halve: a gradient that is not finite is one then as it would be in float32, and
    is applied, so that the run ends with the sentence about it instead of going on without learning.

    Attributes:
      scale: () float32.
      finite_steps: () int32, steps with a finite gradient since the scale last changed.
    """

    def __init__(self) -> None:
        self.scale = tf.Variable(_FIRST, trainable=False, name="loss_scale")
        self.finite_steps = tf.Variable(0, trainable=False, name="finite_steps")

    def apply(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradient is asked for."""
        return loss * self.scale

    def remove(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient of the loss itself, from that of the scaled one."""
        return gradient / self.scale

    def is_to_be_used(self, gradient: tf.Tensor) -> tf.Tensor:
        """() bool: whether to update with a gradient, or to skip the step."""
        return tf.reduce_all(tf.math.is_finite(gradient)) | (self.scale <= 1.0)

    def adjust(self, used: tf.Tensor) -> None:
        """Sets the next step's scale."""
        steps = tf.where(used, self.finite_steps + 1, 0)
        double = steps >= _STEPS_BEFORE_DOUBLING
        grown = tf.where(double & tf.math.is_finite(2.0 * self.scale), 2.0 * self.scale, self.scale)
        self.scale.assign(tf.where(used, grown, tf.maximum(self.scale / 2.0, 1.0)))
        self.finite_steps.assign(tf.where(double, 0, steps))

    def state(self) -> Dict[str, np.ndarray]:
        """What a checkpoint needs of it."""
        return {_STATE: np.array([self.scale.numpy(), self.finite_steps.numpy()], np.float64)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from a checkpoint's arrays."""
        scale, steps = arrays[_STATE]
        self.scale.assign(scale)
        self.finite_steps.assign(int(steps))
