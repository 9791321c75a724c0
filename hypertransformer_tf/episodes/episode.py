"""One few-shot problem as arrays."""

from typing import NamedTuple

import numpy as np


class Episode(NamedTuple):
    """A support and a query set over the same n_way classes (paper, section 3).

    A task batch is an Episode whose fields all have a leading axis T, one entry per task.
    S = n_way * (k_shot + unlabelled_per_class) + distractor_classes * unlabelled_per_class,
    Q = n_way * queries_per_class. The labelled support samples come first, ordered by class,
    then the unlabelled ones, ordered by class, those of distractor classes last; the query
    samples are ordered by class.

    Attributes:
      support_images: (S, H, W, C) uint8, or vectors (S, 1, 1, C) float32.
      support_labels: (S,) int32 in 0, ..., n_way - 1; -1 for an unlabelled sample.
      support_classes: (S,) int32, the real class as a position within its split, given for
        unlabelled samples too: whoever may not know it must look at `support_labels`.
      query_images: (Q, H, W, C), as the support images.
      query_labels: (Q,) int32 in 0, ..., n_way - 1.
    """

    support_images: np.ndarray
    support_labels: np.ndarray
    support_classes: np.ndarray
    query_images: np.ndarray
    query_labels: np.ndarray
