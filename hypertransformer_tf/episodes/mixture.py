"""Task batches of several sizes, so that one model serves many n-way and k-shot."""

import dataclasses
from typing import Callable

from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.random_stream import RandomStream
from hypertransformer_tf.episodes.sampler import EpisodeSampler


class MixedSampler:
    """Draws for every task batch which of the sizes in `episodes.mixture` its episodes have.

    A task batch is a pure function of (seed, split, number of its first episode).

    Args:
      make_sampler: makes the sampler of one size.
      episodes: with a mixture.
      seed: any integer.
      split: of the classes.
    """

    def __init__(
        self, make_sampler: Callable[[EpisodeConfig], EpisodeSampler], episodes: EpisodeConfig, seed: int, split: str
    ):
        sizes = [
            dataclasses.replace(episodes, n_way=n_way, k_shot=k_shot, mixture=()) for n_way, k_shot in episodes.mixture
        ]
        self._samplers = [make_sampler(size) for size in sizes]
        self._stream = RandomStream(seed, split).child("mixture")

    def of_task_batch(self, first: int) -> EpisodeSampler:
        """The sampler of the task batch that begins with episode `first`, for who needs only a part of it."""
        drawn = float(self._stream.child(first).uniform((1,))[0])
        return self._samplers[int(drawn * len(self._samplers))]

    def task_batch(self, first: int, count: int) -> Episode:
        """The episodes first, ..., first + count - 1, all of one size, stacked along a leading axis."""
        return self.of_task_batch(first).task_batch(first, count)
