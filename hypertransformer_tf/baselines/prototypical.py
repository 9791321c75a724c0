"""Prototypical networks (Snell, Swersky and Zemel, NeurIPS 2017, arXiv 1703.05175)."""

from typing import Any, NamedTuple, Optional

import tensorflow as tf

from hypertransformer_tf.baselines.baseline import Baseline, one_hot_labelled
from hypertransformer_tf.baselines.trained_convolutions import Convolutions
from hypertransformer_tf.cnn.run import read_features


class Prototypes(NamedTuple):
    """A prototype per class, (T, n_way, d), and the embedding they were computed with."""

    prototypes: tf.Tensor
    convolutions: Convolutions


class PrototypicalNetwork(Baseline):
    """A class is the mean of its embedded support samples; a query belongs to the class whose mean is nearest.

    The CNN without its logits layer is the embedding. Logits are negative squared Euclidean distances, and the
    cross-entropy of the query set is all the loss there is (paper, Section 2).

    Where the whole last map is read, squared distances begin at about 2. Those of two normalised maps of d entries are
    about 2 d, at which the softmax is certain from the first step, and hundreds of steps would only make them smaller.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.build(None)
        if self.convolutions.trained and self.architecture.logits.flatten:
            gamma: Any = self.convolutions.trained[-1].gamma
            gamma.assign(tf.fill(gamma.shape, self.architecture.logits.input_size**-0.5))

    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> Prototypes:
        features, convolutions = self.convolutions.run_support(images, self.convolutions.values(), mask)
        embedded = read_features(features, self.architecture.logits)
        return Prototypes(class_means(embedded, one_hot_labelled(labels, mask, n_way)), convolutions)

    def _answer(self, images: tf.Tensor, learned: Prototypes) -> tf.Tensor:
        features = self.convolutions.run_query(images, learned.convolutions)
        return -squared_distances(read_features(features, self.architecture.logits), learned.prototypes)


def class_means(embedded: tf.Tensor, members: tf.Tensor) -> tf.Tensor:
    """Prototypes (T, n_way, d) of embedded samples (T, S, d), members (T, S, n_way) being 1 for those of a class."""
    sums = tf.matmul(members, embedded, transpose_a=True)
    return tf.math.divide_no_nan(sums, tf.reduce_sum(members, axis=1)[:, :, tf.newaxis])


def squared_distances(queries: tf.Tensor, prototypes: tf.Tensor) -> tf.Tensor:
    """(T, Q, n_way) for queries (T, Q, d) and prototypes (T, n_way, d)."""
    differences = queries[:, :, tf.newaxis] - prototypes[:, tf.newaxis]  # (T, Q, n_way, d)
    return tf.reduce_sum(tf.square(differences), axis=-1)
