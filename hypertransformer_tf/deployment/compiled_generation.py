"""`HyperTransformer.generate` as one TensorFlow graph: what bin/generate runs and times.

Eagerly, the thousands of small operations of a generation take many times their computing time to be started one by
one. As a graph they do not. Building it takes seconds, once for a model and number of classes in a process.
"""

import functools
import time
from typing import TYPE_CHECKING, Optional

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.weights import GeneratedWeights

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer


class CompiledGeneration:
    """Writes the weights of CNNs for support sets of any size.

    Values are not checked: labels go from 0 to n_way - 1, each at least once, and -1 is no label.

    Args:
      model: reads its variables at each call, so that changes of them count.
      n_way: number of classes.

    Attributes:
      preparation_seconds: how long tracing took, with the first run, in which TensorFlow optimises the graph.
    """

    def __init__(self, model: "HyperTransformer", n_way: int):
        started = time.perf_counter()
        images = tf.TensorSpec((None, None, *model.image_shape), tf.uint8)
        labels, mask = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.float32)

        def generate(images: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> GeneratedWeights:
            weights = model.generate(images, labels, mask, n_way=n_way)
            return weights._replace(heads=(), blocks=(), shared_features=None)

        self._graph = tf.function(generate, input_signature=[images, labels, mask], autograph=False)
        self(np.zeros((n_way, *model.image_shape), np.uint8), np.arange(n_way, dtype=np.int32))
        self.preparation_seconds = time.perf_counter() - started

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, support_mask: Optional[np.ndarray] = None
    ) -> GeneratedWeights:
        """As `model.generate`, without what it says of how the weights were made (heads, blocks, shared features).

        Args:
          images: ([T,] S, H, W, C) uint8.
          labels: ([T,] S) int32.
          support_mask: ([T,] S) float32, 1 = ignore this sample; None ignores none.
        """
        mask = np.zeros(labels.shape, np.float32) if support_mask is None else support_mask
        if images.ndim == 5:
            return self._graph(images, labels, mask)
        weights = self._graph(images[np.newaxis], labels[np.newaxis], mask[np.newaxis])
        return tf.nest.map_structure(lambda weight: None if weight is None else tf.squeeze(weight, 0), weights)


@functools.lru_cache(maxsize=2)
def compiled_generation(model: "HyperTransformer", n_way: int) -> CompiledGeneration:
    """The `CompiledGeneration` of a model, made at the first call and kept in memory."""
    return CompiledGeneration(model, n_way)
