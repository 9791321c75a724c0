"""Nearest neighbour on pixels: what few-shot classification is worth without learning."""

import tensorflow as tf

from hypertransformer_tf.baselines.pixels import SupportPixels, nearest_logits, support_pixels
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.model.images import scale_images


def pixel_accuracy(sampler: EpisodeSampler, episodes: int) -> Accuracy:
    """Accuracy of giving each query image the label of the labelled support image nearest to it in pixels (L2)."""
    return Evaluator(_NearestPixels(), compile=False).measure(sampler, episodes)


class _NearestPixels:
    """What an `Evaluator` asks of a model."""

    def generate(self, images: tf.Tensor, labels: tf.Tensor, n_way: int) -> SupportPixels:
        return support_pixels(scale_images(images), labels, None, n_way)

    def classify(self, images: tf.Tensor, learned: SupportPixels) -> tf.Tensor:
        return nearest_logits(scale_images(images), learned)
