"""Task batches on the devices that compute them, before the step asks for them."""

from typing import Any, NamedTuple, Union

import tensorflow as tf

from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.mixture import MixedSampler
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.training.strategy import own_episodes


class PlacedBatch(NamedTuple):
    """A task batch on its devices.

    Attributes:
      values: an `Episode` of tensors; with several replicas, of each replica's share.
      n_way: classes of its episodes.
    """

    values: Any
    n_way: int


def own_batch(
    sampler: Union[EpisodeSampler, MixedSampler], strategy: tf.distribute.Strategy, task_batch: int, step: int
) -> PlacedBatch:
    """What this process computes of a step's task batch, on its devices.

    Args:
      sampler: of training episodes.
      strategy: the devices.
      task_batch: episodes of the global task batch.
      step: number of the step, from 0.
    """
    first, own = step * task_batch, own_episodes(strategy, task_batch)
    batch = sampler.of_task_batch(first).task_batch(first + own.start, len(own))
    return place(batch, strategy, task_batch)


def place(batch: Episode, strategy: tf.distribute.Strategy, task_batch: int) -> PlacedBatch:
    """Copies a task batch to the devices; called on the thread that draws episodes, so that no step waits for it.

    Args:
      batch: this process's part of the global NumPy task batch (`strategy.own_episodes`), all of it with one process.
      strategy: the devices.
      task_batch: episodes of the global task batch.
    """
    n_way, devices = int(batch.query_labels.max()) + 1, strategy.extended.worker_devices
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        with tf.device(devices[0]):
            return PlacedBatch(Episode(*map(tf.constant, batch)), n_way)
    share, own = task_batch // replicas, own_episodes(strategy, task_batch)

    def replica_share(context: Any) -> Episode:
        first = context.replica_id_in_sync_group * share - own.start
        with tf.device(devices[first // share]):  # else all of them lie on the first device until the step begins
            return Episode(*(tf.constant(field[first : first + share]) for field in batch))

    return PlacedBatch(strategy.experimental_distribute_values_from_function(replica_share), n_way)
