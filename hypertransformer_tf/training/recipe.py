"""From settings to Keras' optimiser and learning-rate schedule."""

from typing import Any, Dict, Union

import keras
import tensorflow as tf

from hypertransformer_tf import keras_stack
from hypertransformer_tf.training.config import OptimizerConfig


@keras.utils.register_keras_serializable(package="hypertransformer_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear increase from zero, then another schedule from its own beginning.

    Args:
      after: a schedule, or a constant rate.
      warmup_steps: steps of the increase.
    """

    def __init__(self, after: Union[float, Any], warmup_steps: int):
        self.after, self.warmup_steps = after, warmup_steps

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        later = tf.maximum(step - self.warmup_steps, 0.0)
        rate = self.after(later) if callable(self.after) else tf.constant(self.after, tf.float32)
        return tf.cast(rate, tf.float32) * tf.minimum((step + 1.0) / (self.warmup_steps + 1.0), 1.0)

    def get_config(self) -> Dict[str, Any]:
        after = keras.optimizers.schedules.serialize(self.after) if callable(self.after) else self.after
        return {"after": after, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "WarmUp":
        after = config["after"]
        if isinstance(after, dict):
            after = keras.optimizers.schedules.deserialize(after)
        return cls(after, config["warmup_steps"])


def make_schedule(config: OptimizerConfig) -> Any:
    """The learning rate by step: a number, or a Keras schedule."""
    rate: Any = float(config.learning_rate)
    if config.schedule == "exponential":
        rate = keras.optimizers.schedules.ExponentialDecay(rate, config.decay_steps, config.decay_rate)
    elif config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.decay_steps)
    return WarmUp(rate, config.warmup_steps) if config.warmup_steps else rate


def make_optimizer(config: OptimizerConfig) -> Any:
    """The stack's optimiser of that name."""
    return keras_stack.make_optimizer(
        config.name, make_schedule(config), config.clip_norm or None, config.beta_2, config.weight_decay
    )
