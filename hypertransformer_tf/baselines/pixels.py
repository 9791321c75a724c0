"""Nearest neighbour on pixels: a query has the class of the labelled support image that is nearest to it."""

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
        return SupportPixels(self._vectors(images), one_hot_labelled(labels, mask, n_way))

    def _answer(self, images: tf.Tensor, learned: SupportPixels) -> tf.Tensor:
        queries, support = self._vectors(images), learned.vectors
        lengths = [tf.reduce_sum(tf.square(each), axis=-1) for each in (queries, support)]
        products = tf.matmul(queries, support, transpose_b=True)
        distances = lengths[0][:, :, tf.newaxis] - 2.0 * products + lengths[1][:, tf.newaxis]  # (T, Q, S)
        of_class = learned.members[:, tf.newaxis] > 0
        return tf.reduce_max(tf.where(of_class, -distances[..., tf.newaxis], tf.float32.min), axis=2)

    def _vectors(self, images: tf.Tensor) -> tf.Tensor:
        height, width, channels = self.image_shape
        shape = tf.shape(images)
        return tf.reshape(images, (shape[0], shape[1], height * width * channels))
