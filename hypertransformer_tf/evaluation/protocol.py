"""Measuring a model: generate a CNN per episode, ask it one or several query sets, average (paper, Section 4)."""

from typing import Any, Callable, List, NamedTuple, Optional, Protocol, Sequence

import numpy as np
import tensorflow as tf

from hypertransformer_tf.config_checks import require_whole_number
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.asked import check_asked
from hypertransformer_tf.evaluation.config import EPISODES_AT_ONCE
from hypertransformer_tf.evaluation.devices import MeasuringDevices
from hypertransformer_tf.out_of_memory import memory_explained

_LESS_MEMORY = (
    "ask about fewer query images (evaluation.queries_per_class, or --queries_per_class of bin/evaluate; in validation "
    "episodes.queries_per_class, by another --run_dir)"
)
QUERY_BYTES_AT_ONCE = 2**28


class FewShotModel(Protocol):
    """What can be measured: a HyperTransformer, or whatever else learns from a support set and then answers."""

    def generate(self, support_images: Any, support_labels: Any, /, *, n_way: int) -> Any:
        """What `classify` takes, from images (T, S, H, W, C) and labels (T, S), -1 = no label."""

    def classify(self, query_images: Any, weights: Any, /) -> tf.Tensor:
        """Logits (T, Q, n_way) of images (T, Q, H, W, C)."""


class _Batch(NamedTuple):
    """Episodes that one device measures together, and their query batches (B, T, Q, H, W, C) and (B, T, Q)."""

    support: Episode
    query_images: np.ndarray
    query_labels: np.ndarray


class Evaluator:
    """Measures the accuracy of one model; keep it, and what it compiled serves every measurement.

    Args:
      model: the model; its variables are read when measuring.
      compile: let XLA compile.
      strategy: under whose scope the model was built: its devices in this process measure at the same time, a batch of
        episodes each. Without it, one device measures.
    """

    def __init__(self, model: FewShotModel, compile: bool = True, strategy: Optional[tf.distribute.Strategy] = None):
        self._devices = MeasuringDevices(strategy, compile)
        self._generate = self._devices.compiled(model.generate)
        self._correct = self._devices.compiled(self._count_correct)
        self._model = model

    def measure(
        self, sampler: EpisodeSampler, episodes: int, query_batches: int = 1, asked: str = "together"
    ) -> Accuracy:
        """Mean accuracy over the first `episodes` episodes of a sampler.

        Args:
          sampler: where the episodes come from.
          episodes: how many, at least 2: one has no interval.
          query_batches: query sets per episode; an episode's accuracy is the mean over them.
          asked: how the CNN is asked about a query set: all pictures `together`, each `alone`, five of them at a time
            from all over the set (`in_fives`: of different classes, if there are as many), or those of a class at a
            time (`by_class`). It makes no difference to an inductive model (`cnn.normalisation`).

        Raises:
          UserError: fewer episodes, no query batch, another word for `asked`, a query set that is not made of fives, or
            more query images than memory can hold.
        """
        return accuracy_of(self.accuracies(sampler, episodes, query_batches, asked), episodes)

    def accuracies(
        self,
        sampler: EpisodeSampler,
        episodes: int,
        query_batches: int = 1,
        asked: str = "together",
        part: int = 0,
        parts: int = 1,
        before_each: Callable[[], object] = lambda: None,
    ) -> List[List[float]]:
        """Accuracy of each episode, batch by batch: of every batch number `part` + a multiple of `parts`.

        Together, the parts are what `measure` averages. `before_each` is called whenever devices are given batches,
        to end the work by raising. Arguments and errors are those of `measure` otherwise.
        """
        require_whole_number("episodes", episodes, at_least=2)
        require_whole_number("query_batches", query_batches, at_least=1)
        parts_of_queries = _parts(sampler, asked)
        size = sampler.episode(0).query_images.nbytes * query_batches
        batch = max(1, min(EPISODES_AT_ONCE, episodes, QUERY_BYTES_AT_ONCE // size))
        accuracies: List[List[float]] = []
        numbers, at_once = range(part, -(-episodes // batch), parts), self._devices.count

        def make(turn: int) -> List[_Batch]:
            own = numbers[turn * at_once : (turn + 1) * at_once]
            # The last batch goes past the end instead of being smaller: one shape, one compilation.
            drawn = [_batch(sampler, number * batch, batch, query_batches) for number in own]
            return drawn + drawn[-1:] * (at_once - len(drawn))  # a device without work repeats the last

        # No more than one turn waits: on large images a few of them would fill the memory.
        with Prefetcher(make, 0, -(-len(numbers) // at_once), depth=1) as turns:
            for turn in turns:
                before_each()
                with memory_explained("while measuring", _LESS_MEMORY):
                    accuracies += self._measured(turn, sampler.episodes.n_way, parts_of_queries)
        return accuracies[: len(numbers)]

    def _measured(self, turn: Sequence[_Batch], n_way: int, parts: Sequence[slice]) -> List[List[float]]:
        """Accuracies of the episodes of each batch; a query set is asked about in parts, given by their places."""
        spread = self._devices.spread
        weights = self._generate(
            spread([batch.support.support_images for batch in turn]),
            spread([batch.support.support_labels for batch in turn]),
            n_way=n_way,
        )
        correct = [
            self._ask(
                [batch.query_images[number] for batch in turn],
                [batch.query_labels[number] for batch in turn],
                weights,
                parts,
            )
            for number in range(len(turn[0].query_images))
        ]
        return np.mean(correct, axis=0).tolist()

    def _ask(
        self, images: Sequence[np.ndarray], labels: Sequence[np.ndarray], weights: Any, parts: Sequence[slice]
    ) -> np.ndarray:
        """Share of right answers per device and episode, (devices, T), about one query set of each episode."""
        spread = self._devices.spread
        answers = [
            self._correct(
                spread([each[:, part] for each in images]), spread([each[:, part] for each in labels]), weights
            )
            for part in parts
        ]
        return np.mean([self._devices.collect(answer) for answer in answers], axis=0)

    def _count_correct(self, images: tf.Tensor, labels: tf.Tensor, weights: Any) -> tf.Tensor:
        """Share of right answers per episode: (T,)."""
        predicted = tf.argmax(self._model.classify(images, weights), -1, output_type=labels.dtype)
        return tf.reduce_mean(tf.cast(predicted == labels, tf.float32), -1)


def accuracy_of(batches: Sequence[Sequence[float]], episodes: int) -> Accuracy:
    """From the accuracies of all batches of `Evaluator.accuracies`, of which the first `episodes` count."""
    return Accuracy.of_episodes([accuracy for batch in batches for accuracy in batch][:episodes])


def _parts(sampler: EpisodeSampler, asked: str) -> List[slice]:
    """Places in a query set of the pictures that are asked about at once; a query set lies class by class."""
    n_way, per_class = sampler.episodes.n_way, sampler.episodes.queries_per_class
    queries = n_way * per_class
    check_asked(asked, queries)
    if asked == "in_fives":
        return [slice(first, None, queries // 5) for first in range(queries // 5)]
    size = {"together": queries, "alone": 1, "by_class": per_class}[asked]
    return [slice(first, first + size) for first in range(0, queries, size)]


def _batch(sampler: EpisodeSampler, first: int, episodes: int, query_batches: int) -> _Batch:
    """The task batch of that many episodes that begins at `first`, with its query batches."""
    batch = sampler.task_batch(first, episodes)
    if query_batches == 1:
        return _Batch(batch, batch.query_images[np.newaxis], batch.query_labels[np.newaxis])
    images = np.empty((query_batches, *batch.query_images.shape), batch.query_images.dtype)
    labels = np.empty((query_batches, *batch.query_labels.shape), batch.query_labels.dtype)
    for offset in range(episodes):
        images[:, offset], labels[:, offset] = sampler.query_batches(first + offset, query_batches)
    return _Batch(batch, images, labels)
