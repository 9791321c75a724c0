"""Dropout whose draws are a pure function of a seed, so that a run that was stopped continues bit for bit."""

from typing import Optional

import tensorflow as tf

from hypertransformer_tf.cnn.precision import at_least_float32


class Dropout:
    """Draws the dropout masks of one training step; every use gets a stream of its own.

    Args:
      seed: (2,) int32, different in every step.
    """

    def __init__(self, seed: tf.Tensor):
        self._seed, self._uses = seed, 0

    def apply(self, values: tf.Tensor, rate: float) -> tf.Tensor:
        """Sets a share `rate` of the values to zero and scales the others up."""
        if rate == 0.0:
            return values
        self._uses += 1
        seed = tf.random.experimental.stateless_fold_in(self._seed, self._uses)
        # Drawn in float32: in bfloat16 there are only 128 numbers from 0 to 1 to compare the rate with.
        dropped = tf.nn.experimental.stateless_dropout(at_least_float32(values), rate, seed)
        return tf.cast(dropped, values.dtype)


def apply_dropout(dropout: Optional[Dropout], values: tf.Tensor, rate: float) -> tf.Tensor:
    """`dropout.apply`, or the values as they are without dropout (None: not training)."""
    return values if dropout is None else dropout.apply(values, rate)
