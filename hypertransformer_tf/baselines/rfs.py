"""Rethinking few-shot image classification (Tian et al., ECCV 2020, arXiv 2003.11539): "RFS-simple".

"A good embedding is all you need": nothing is meta-learned. Distillation ("RFS-distill") is not part of this.
"""

import functools
from typing import Any, List, NamedTuple, Optional

import tensorflow as tf

from hypertransformer_tf.baselines.baseline import Answer, Baseline
from hypertransformer_tf.baselines.logistic_regression import fit_task_batch
from hypertransformer_tf.baselines.trained_convolutions import Convolutions
from hypertransformer_tf.cnn.run import read_features, run_logits
from hypertransformer_tf.cnn.weights import LogitsWeights
from hypertransformer_tf.episodes.episode import Episode
from hypertransformer_tf.layers.trained_weights import TrainedLogits
from hypertransformer_tf.model.images import scale_images


class LinearClassifier(NamedTuple):
    """Logistic regression on normalised features, and the embedding they come from."""

    logits: LogitsWeights
    convolutions: Convolutions


class Rfs(Baseline):
    """An embedding trained to tell all meta-train classes apart; an episode gets a logistic regression on it.

    It is trained on the images of the same task batches as the other methods, support and query sets alike, with the
    cross-entropy over all meta-train classes. Features are scaled to unit length before the regression, which is
    scikit-learn's: graphs that call it cannot be compiled by XLA.

    Args:
      *args, **kwargs: as for `Baseline`.
      classes: number of meta-train classes.
    """

    def __init__(self, *args: Any, classes: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.class_head = TrainedLogits(self.architecture.logits.input_size, classes, name="class_head")
        self.build(None)

    def training_answers(self, batch: Episode, step: tf.Tensor, n_way: Optional[int]) -> List[Answer]:
        support, convolutions = self.convolutions.run_support(
            scale_images(batch.support_images), self.convolutions.values()
        )
        query = self.convolutions.run_query(scale_images(batch.query_images), convolutions)
        head, spec = self.class_head.add_to(None), self.architecture.logits
        logits = [run_logits(features, head, spec) for features in (support, query)]
        classes = [
            batch.support_classes,
            query_classes(batch.support_labels, batch.support_classes, batch.query_labels),
        ]
        return [Answer(tf.concat(logits, 1), tf.concat(classes, 1))]

    def _learn(self, images: tf.Tensor, labels: tf.Tensor, mask: Optional[tf.Tensor], n_way: int) -> LinearClassifier:
        features, convolutions = self.convolutions.run_support(images, self.convolutions.values(), mask)
        used = labels if mask is None else tf.where(mask > 0, -1, labels)
        vectors = self._unit_vectors(features)
        fit = functools.partial(fit_task_batch, n_way=n_way)
        kernel, bias = tf.numpy_function(fit, (vectors, used), (tf.float32, tf.float32), stateful=False)
        episodes, size = vectors.shape[0], vectors.shape[2]
        shapes = (episodes, size, n_way), (episodes, n_way)
        return LinearClassifier(LogitsWeights(*map(tf.ensure_shape, (kernel, bias), shapes)), convolutions)

    def _answer(self, images: tf.Tensor, learned: LinearClassifier) -> tf.Tensor:
        vectors = self._unit_vectors(self.convolutions.run_query(images, learned.convolutions))
        return tf.matmul(vectors, learned.logits.kernel) + learned.logits.bias[:, tf.newaxis]

    def _unit_vectors(self, features: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(read_features(features, self.architecture.logits), axis=-1)


def query_classes(support_labels: tf.Tensor, support_classes: tf.Tensor, query_labels: tf.Tensor) -> tf.Tensor:
    """Real classes (T, Q) of queries, from the support samples (T, S) that have the same label in their episode."""
    same = query_labels[:, :, tf.newaxis] == support_labels[:, tf.newaxis]  # (T, Q, S)
    return tf.reduce_max(tf.where(same, support_classes[:, tf.newaxis], -1), axis=-1)
