"""Nearest neighbour on pixels: a query has the class of the labelled support image that is nearest to it."""

import math
from typing import Any, List, NamedTuple, Optional

import tensorflow as tf

from hypertransformer_tf.baselines.baseline import Answer, Baseline, one_hot_labelled
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.errors import UserError


class SupportPixels(NamedTuple):
    """Support images as vectors, (T, S, d), and their classes, (T, S, n_way): zeros for those that do not count."""

    vectors: tf.Tensor
    members: tf.Tensor


class NearestPixels(Baseline):
    """What few-shot classification is worth without learning: the CNN that all baselines have is never asked.

    A class's logit is the negative squared Euclidean distance of its nearest sample; of a class without any, the
    lowest float32.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.build(None)

    def training_answers(self, batch: Episode, step: tf.Tensor, n_way: Optional[int]) -> List[Answer]:
        raise UserError("method.name = 'pixels' is not meta-trained: there is no step to take.")

    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> SupportPixels:
        return support_pixels(images, labels, mask, n_way)

    def _answer(self, images: tf.Tensor, learned: SupportPixels) -> tf.Tensor:
        return nearest_logits(images, learned)


def support_pixels(images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> SupportPixels:
    """Of scaled images (T, S, H, W, C), labels (T, S) int32, -1 for none, and a mask (T, S), 1 = ignore, or None."""
    return SupportPixels(_vectors(images), one_hot_labelled(labels, mask, n_way))


def nearest_logits(images: tf.Tensor, support: SupportPixels) -> tf.Tensor:
    """(T, Q, n_way) of scaled images (T, Q, H, W, C): the negative squared distance of each class's nearest sample."""
    queries = _vectors(images)
    lengths = [tf.reduce_sum(tf.square(each), axis=-1) for each in (queries, support.vectors)]
    products = tf.matmul(queries, support.vectors, transpose_b=True)
    distances = lengths[0][:, :, tf.newaxis] - 2.0 * products + lengths[1][:, tf.newaxis]  # (T, Q, S)
    of_class = support.members[:, tf.newaxis] > 0
    return tf.reduce_max(tf.where(of_class, -distances[..., tf.newaxis], tf.float32.min), axis=2)


def _vectors(images: tf.Tensor) -> tf.Tensor:
    episodes, samples, *shape = images.shape
    return tf.reshape(images, (-1 if episodes is None else episodes, samples, math.prod(shape)))
