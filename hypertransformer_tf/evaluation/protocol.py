"""Measuring a model: generate a CNN per episode, ask it one or several query sets, average (paper, Section 4)."""

from typing import List

import numpy as np
import tensorflow as tf

from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.model.hypertransformer import HyperTransformer

EPISODES_AT_ONCE = 16


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

    def measure(self, sampler: EpisodeSampler, episodes: int, query_batches: int = 1) -> Accuracy:
        """Mean accuracy over the first `episodes` episodes of a sampler.

        Args:
          sampler: where the episodes come from.
          episodes: how many.
          query_batches: query sets per episode; an episode's accuracy is the mean over them.
        """
        batch = min(EPISODES_AT_ONCE, episodes)
        accuracies: List[float] = []

        def make(index: int):
            # The last batch goes past the end instead of being smaller: one shape, one compilation.
            first = index * batch
            queries = [sampler.query_batches(first + offset, query_batches) for offset in range(batch)]
            images, labels = zip(*queries)
            return sampler.task_batch(first, batch), np.stack(images, 1), np.stack(labels, 1)

        with Prefetcher(make, 0, -(-episodes // batch)) as batches:
            for support, query_images, query_labels in batches:
                weights = self._generate(support.support_images, support.support_labels, n_way=sampler.episodes.n_way)
                correct = [
                    self._correct(images, labels, weights).numpy() for images, labels in zip(query_images, query_labels)
                ]
                accuracies.extend(np.mean(correct, axis=0))
        return Accuracy.of_episodes(accuracies[:episodes])

    def _count_correct(self, images: tf.Tensor, labels: tf.Tensor, weights) -> tf.Tensor:
        """Share of right answers per episode: (T,)."""
        predicted = tf.argmax(self._model.classify(images, weights), -1, output_type=labels.dtype)
        return tf.reduce_mean(tf.cast(predicted == labels, tf.float32), -1)
