"""One training step over a task batch, compiled and distributed."""

import contextlib
from typing import Any, Dict, Union

import tensorflow as tf

from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.training.config import LossConfig, TrainingConfig
from hypertransformer_tf.training.flat_update import FlatUpdate
from hypertransformer_tf.training.losses import Losses, task_batch_losses
from hypertransformer_tf.training.placement import PlacedBatch, place
from hypertransformer_tf.training.strategy import only_device


class TrainingStep:
    """Gradients of a task batch and the update of the model's variables.

    The task batch is split over the strategy's replicas, a replica's share into `config.groups` groups. Each group is
    one compiled graph from images to gradients; groups do not wait for each other, so that a CPU computes as many at
    a time as it has cores. Their mean gradient is the task batch's. The update lies outside these graphs:
    `FlatUpdate` compiles its arithmetic where a process has one device.

    Args:
      model: built under the strategy's scope.
      update: of the model's variables, built under the strategy's scope, or outside it where a process has one device.
      loss: of `task_batch_losses`.
      config: task batch, groups, compilation, seed.
      strategy: the devices.
    """

    def __init__(
        self,
        model: HyperTransformer,
        update: FlatUpdate,
        loss: LossConfig,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy,
    ):
        self._model, self._update, self._loss, self._config, self._strategy = model, update, loss, config, strategy
        self._variables = model.trainable_variables
        self._group = tf.function(self._group_share, jit_compile=config.compile, autograph=False)
        self._runs: Dict[Any, Any] = {}

    def __call__(self, batch: Union[PlacedBatch, Episode], step: int) -> Losses:
        """Trains on one global task batch.

        Args:
          batch: from `place`, or what that takes; a step is compiled for every n-way and k-shot.
          step: number of this step, from 0.

        Returns:
          Means over the task batch.
        """
        if not isinstance(batch, PlacedBatch):
            batch = place(batch, self._strategy, self._config.task_batch)
        return self._run_of(batch)(batch.values, tf.constant(step, tf.int32), batch.n_way)

    def _run_of(self, batch: PlacedBatch) -> Any:
        """The step for episodes of this size. Of one function for all, TensorFlow warns that it is traced too often."""
        tensors = tf.nest.flatten(batch.values, expand_composites=True)
        size = (batch.n_way, *(tuple(each.shape) for each in tensors))
        if size not in self._runs:
            self._runs[size] = tf.function(self._train, autograph=False)
        return self._runs[size]

    def _train(self, batch: Any, step: tf.Tensor, n_way: int) -> Losses:
        shares = self._strategy.run(self._replica_share, args=(batch, step, n_way))
        gradient_and_losses = self._sum(shares)
        self._update.apply(gradient_and_losses)
        return Losses(*tf.unstack(gradient_and_losses[-len(Losses._fields) :] / self._parts))

    def _sum(self, shares: Any) -> tf.Tensor:
        """Over the replicas, on a process's only device or where the strategy adds up."""
        strategy, device = self._strategy, only_device(self._strategy)
        if strategy.num_replicas_in_sync == 1:
            return strategy.experimental_local_results(shares)[0]
        with contextlib.nullcontext() if device is None else tf.device(device):
            return strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    @property
    def _parts(self) -> int:
        """How many groups the task batch has, over all replicas."""
        return self._strategy.num_replicas_in_sync * self._config.groups

    def _replica_share(self, batch: Episode, step: tf.Tensor, n_way: int) -> tf.Tensor:
        """This replica's share of the gradient (P,), and behind it the sums over its groups of each of `Losses`.

        One vector, as what devices exchange has its price by the piece.
        """
        groups = self._config.groups
        size = batch.support_images.shape[0] // groups
        step_seed = tf.stack([tf.constant(self._config.seed, tf.int32), step])
        shares = []
        for group in range(groups):
            part = Episode(*(field[group * size : (group + 1) * size] for field in batch))
            shares.append(self._group(part, step, self._seed(step_seed, group), n_way, step_seed))
        return shares[0] if groups == 1 else tf.add_n(shares)

    def _seed(self, step_seed: tf.Tensor, group: int) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        number = tf.cast(context.replica_id_in_sync_group, tf.int32) * self._config.groups + group
        return tf.random.experimental.stateless_fold_in(step_seed, number)

    def _group_share(
        self, batch: Episode, step: tf.Tensor, seed: tf.Tensor, n_way: int, step_seed: tf.Tensor
    ) -> tf.Tensor:
        """`_replica_share` of one group. What can be done to it is done here, in the graph that writes the vector."""
        scale = self._update.loss_scale
        with tf.GradientTape() as tape:
            losses = task_batch_losses(self._model, batch, self._loss, step, seed, n_way, step_seed)
            total = losses.total if scale is None else scale.apply(losses.total)
        gradients = tape.gradient(total, self._variables)
        # Pre-training reaches only a part of the model. (Keras' variables cannot ask the tape for zeros.)
        gradients = [
            tf.zeros(variable.shape) if gradient is None else gradient
            for gradient, variable in zip(gradients, self._variables)
        ]
        gradient = self._update.flatten(gradients)
        if scale is not None:
            gradient = scale.remove(gradient)
        return tf.concat([gradient / self._parts, tf.stack(losses)], 0)
