"""What normalisation keeps of the support set (`cnn.normalisation` other than `query`)."""

from typing import Any, Dict, Optional

import keras
import tensorflow as tf

from hypertransformer_tf.cnn.normalisation import Statistics, batch_moments
from hypertransformer_tf.cnn.precision import at_least_float32
from hypertransformer_tf.keras_stack import build_once


class SupportStatistics(keras.layers.Layer):
    """The support set's moments after a convolution, and how much a picture's own moments count beside them.

    In the blend a picture weighs as much as a learned number of support samples n0: its share is n0 / (S + n0) where S
    samples were given. It falls with the size of the support set, as in TaskNorm (Bronskill et al., ICML 2020).

    Args:
      blend: whether pictures' own moments count; otherwise there are no variables.
    """

    def __init__(self, blend: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.blend = blend

    @build_once
    def build(self, input_shape: Any = None) -> None:
        if self.blend:
            self.log_weight = self.add_weight(name="log_weight", shape=(), initializer="zeros")

    def call(self, activations: tf.Tensor, support_mask: Optional[tf.Tensor] = None) -> Statistics:
        """Statistics of support activations (T, S, H, W, C); samples with 1 in the mask (T, S) do not count."""
        mean, variance = (moment[:, 0, 0, 0] for moment in batch_moments(activations, support_mask))
        return Statistics(mean, variance, self._own_share(activations, support_mask) if self.blend else None)

    def _own_share(self, activations: tf.Tensor, support_mask: Optional[tf.Tensor]) -> tf.Tensor:
        weight = tf.exp(at_least_float32(self.log_weight))
        shape = tf.shape(activations)
        samples = tf.fill(shape[:1], tf.cast(shape[1], tf.float32))  # bfloat16 counts to 256 only
        if support_mask is not None:
            samples -= tf.reduce_sum(tf.cast(support_mask, tf.float32), axis=1)
        return weight / (samples + weight)

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "blend": self.blend}
