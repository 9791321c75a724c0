"""Measuring a model: generate a CNN per episode, ask it one or several query sets, average (paper, Section 4)."""

from typing import Callable, List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.config_checks import require_whole_number
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.asked import check_asked
from hypertransformer_tf.evaluation.config import EPISODES_AT_ONCE
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.out_of_memory import memory_explained

_LESS_MEMORY = (
    "ask about fewer query images (evaluation.queries_per_class, or --queries_per_class of bin/evaluate; in validation "
    "episodes.queries_per_class, by another --run_dir)"
)
QUERY_BYTES_AT_ONCE = 2**28


class Evaluator:
    """Measures the accuracy of one model; keep it, and what it compiled serves every measurement.

    Args:
      model: the model; its variables are read when measuring.
      compile: let XLA compile.
    """

    def __init__(self, model: HyperTransformer, compile: bool = True):
        self._generate = tf.function(model.generate, jit_compile=compile, autograph=False)
        self._correct = tf.function(self._count_correct, jit_compile=compile, autograph=False)
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

        Together, the parts are what `measure` averages. `before_each` is called before each batch, to end the work by
        raising. Arguments and errors are those of `measure` otherwise.
        """
        require_whole_number("episodes", episodes, at_least=2)
        require_whole_number("query_batches", query_batches, at_least=1)
        parts_of_queries = _parts(sampler, asked)
        size = sampler.episode(0).query_images.nbytes * query_batches
        batch = max(1, min(EPISODES_AT_ONCE, episodes, QUERY_BYTES_AT_ONCE // size))
        accuracies: List[List[float]] = []
        numbers = range(part, -(-episodes // batch), parts)

        def make(place: int) -> Tuple[Episode, np.ndarray, np.ndarray]:
            index = numbers[place]
            # The last batch goes past the end instead of being smaller: one shape, one compilation.
            support = sampler.task_batch(index * batch, batch)
            return support, *_query_batches(sampler, support, index * batch, query_batches)

        # No more than one waits: on large images a few of them would fill the memory.
        with Prefetcher(make, 0, len(numbers), depth=1) as batches:
            for support, query_images, query_labels in batches:
                before_each()
                with memory_explained("while measuring", _LESS_MEMORY):
                    weights = self._generate(
                        support.support_images, support.support_labels, n_way=sampler.episodes.n_way
                    )
                    correct = [
                        self._ask(images, labels, weights, parts_of_queries)
                        for images, labels in zip(query_images, query_labels)
                    ]
                accuracies.append(np.mean(correct, axis=0).tolist())
        return accuracies

    def _ask(
        self, images: np.ndarray, labels: np.ndarray, weights: GeneratedWeights, parts: Sequence[slice]
    ) -> np.ndarray:
        """Share of right answers per episode (T,), the query set asked about in equal parts, given by their places."""
        return np.mean([self._correct(images[:, part], labels[:, part], weights).numpy() for part in parts], axis=0)

    def _count_correct(self, images: tf.Tensor, labels: tf.Tensor, weights: GeneratedWeights) -> tf.Tensor:
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


def _query_batches(
    sampler: EpisodeSampler, batch: Episode, first: int, query_batches: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Query images (B, T, Q, H, W, C) and labels (B, T, Q) of the episodes of a task batch, which begins at `first`."""
    if query_batches == 1:
        return batch.query_images[np.newaxis], batch.query_labels[np.newaxis]
    images = np.empty((query_batches, *batch.query_images.shape), batch.query_images.dtype)
    labels = np.empty((query_batches, *batch.query_labels.shape), batch.query_labels.dtype)
    for offset in range(len(batch.query_labels)):
        images[:, offset], labels[:, offset] = sampler.query_batches(first + offset, query_batches)
    return images, labels
