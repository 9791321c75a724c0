"""Nearest neighbour on pixels: what few-shot classification is worth without learning."""

import numpy as np

from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy


def pixel_accuracy(sampler: EpisodeSampler, episodes: int) -> Accuracy:
    """Accuracy of giving each query image the label of the labelled support image nearest to it in pixels (L2)."""
    return Accuracy.of_episodes([_episode_accuracy(sampler.episode(index)) for index in range(episodes)])


def _episode_accuracy(episode: Episode) -> float:
    labelled = episode.support_labels >= 0
    support = _vectors(episode.support_images[labelled])
    queries = _vectors(episode.query_images)
    squared = (support**2).sum(1) - 2.0 * queries @ support.T  # (Q, S), up to a constant per query
    predicted = episode.support_labels[labelled][squared.argmin(1)]
    return float((predicted == episode.query_labels).mean())


def _vectors(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255.0
