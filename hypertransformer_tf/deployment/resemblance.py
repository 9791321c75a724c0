"""How much a picture resembles the classes of a classifier: what "none of these" is decided by.

The probabilities of a classifier add up to 1 for a picture of no class too. What its logits layer reads of a picture
still tells: it points elsewhere than that of the classes. A picture's resemblance to a class is the cosine between the
two, what is read of the picture and its mean over the support pictures of the class; negative ones count as 0.
"""

from typing import TYPE_CHECKING, Optional

import numpy as np

from hypertransformer_tf.deployment.support_folder import SupportSet

if TYPE_CHECKING:
    from hypertransformer_tf.cnn.weights import GeneratedWeights
    from hypertransformer_tf.model.hypertransformer import HyperTransformer


def class_means(features: np.ndarray, labels: np.ndarray, n_way: int, mask: Optional[np.ndarray] = None) -> np.ndarray:
    """Means of the support pictures of each class: (..., n_way, d) float32.

    Args:
      features: (..., S, d) of `HyperTransformer.features`.
      labels: (S,) int from 0 to n_way - 1, each at least once where it is not masked; -1 counts nowhere.
      n_way: number of classes.
      mask: (..., S), 1 = this picture does not count.
    """
    members = (labels[:, np.newaxis] == np.arange(n_way)).astype(np.float32)
    if mask is not None:
        members = members * (1.0 - mask)[..., np.newaxis]
    members = members / members.sum(axis=-2, keepdims=True)
    return np.swapaxes(members, -1, -2) @ features


def support_means(model: "HyperTransformer", support: SupportSet, weights: "GeneratedWeights") -> np.ndarray:
    """`class_means` of a support set, by the CNN that was generated from it."""
    features = np.asarray(model.features(support.model_images(), weights))
    return class_means(features, support.labels, len(support.class_names))


def resemblance_to_classes(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Resemblance from 0 to 1 of pictures to classes: (..., N, n_way) float32.

    Args:
      features: (..., N, d) of the pictures.
      means: (..., n_way, d), see `class_means`.
    """
    cosines = _of_length_1(features) @ np.swapaxes(_of_length_1(means), -1, -2)
    return np.clip(cosines, 0.0, 1.0)


def _of_length_1(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
