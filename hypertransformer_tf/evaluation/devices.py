"""The devices of this process when measuring: each is given a batch of episodes of its own at a time."""

from typing import Any, Callable, List, Optional, Sequence

import numpy as np
import tensorflow as tf


class MeasuringDevices:
    """Runs functions of a model on one device, or on all of a strategy's in this process at once.

    Args:
      strategy: under whose scope the model was built; None for TensorFlow's default device.
      compile: let XLA compile.

    Attributes:
      count: how many batches are computed at once.
    """

    def __init__(self, strategy: Optional[tf.distribute.Strategy], compile: bool):
        self._strategy, self._compile = strategy or tf.distribute.get_strategy(), compile
        self._names = ("",) if strategy is None else strategy.extended.worker_devices
        self.count = len(self._names)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function on every device, of arguments from `spread` or from another such function."""
        each = tf.function(function, jit_compile=self._compile, autograph=False)
        if self.count == 1:
            return each

        def on_one(*values: Any, **settings: Any) -> Any:
            return each(*values, **settings)  # given `each` itself, a strategy compiles all devices as one program

        # Traced once for all devices: called eagerly, one would begin when the one before it is done.
        def on_all(*values: Any, **settings: Any) -> Any:
            return self._strategy.run(on_one, values, settings)

        return tf.function(on_all, autograph=False)

    def spread(self, arrays: Sequence[np.ndarray]) -> Any:
        """One array for each device; with one device that array as it is."""
        if self.count == 1:
            return arrays[0]

        def of_replica(context: Any) -> tf.Tensor:
            own = context.replica_id_in_sync_group % self.count  # each process has as many devices
            with tf.device(self._names[own]):
                return tf.constant(arrays[own])

        return self._strategy.experimental_distribute_values_from_function(of_replica)

    def collect(self, value: Any) -> List[np.ndarray]:
        """The arrays of all devices, in the order of `spread`."""
        if self.count == 1:
            return [value.numpy()]
        return [each.numpy() for each in self._strategy.experimental_local_results(value)]
