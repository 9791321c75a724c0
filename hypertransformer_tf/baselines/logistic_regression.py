"""scikit-learn's logistic regression on the support features of episodes."""

from typing import Tuple

import numpy as np

from hypertransformer_tf.cnn.readout import ABSENT

ITERATIONS = 1_000  # at most; as in the program of RFS's authors, as is C = 1


def fit_task_batch(features: np.ndarray, labels: np.ndarray, n_way: int) -> Tuple[np.ndarray, np.ndarray]:
    """A linear classifier for each episode.

    Args:
      features: (T, S, d) float32.
      labels: (T, S) int32; samples with -1 are left out.
      n_way: number of classes.

    Returns:
      kernel (T, d, n_way) and bias (T, n_way), float32; a class without samples is never chosen.
    """
    fitted = [_fit(of_episode, classes, n_way) for of_episode, classes in zip(features, labels)]
    kernels, biases = zip(*fitted)
    return np.stack(kernels), np.stack(biases)


def _fit(features: np.ndarray, labels: np.ndarray, n_way: int) -> Tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # late: it takes a second, and no other method needs it

    labelled = labels >= 0
    regression = LogisticRegression(C=1.0, max_iter=ITERATIONS).fit(features[labelled], labels[labelled])
    kernel, bias = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # one row then: the log-odds of the second class
        kernel, bias = np.concatenate([0 * kernel, kernel]), np.concatenate([0 * bias, bias])
    kernels = np.zeros((features.shape[1], n_way), np.float32)
    biases = np.full(n_way, ABSENT, np.float32)
    kernels[:, regression.classes_], biases[regression.classes_] = kernel.T, bias
    return kernels, biases
