"""Logistic regression of a task batch: what scikit-learn fits to each episode, as weights of a logits layer."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hypertransformer_tf.baselines.logistic_regression import fit_task_batch

STREAM = np.random.default_rng(0)
FEATURES = STREAM.normal(size=(2, 9, 4)).astype(np.float32)


@pytest.mark.parametrize("n_way", [2, 3])
def test_its_logits_give_scikit_learns_probabilities_for_each_episode(n_way):
    labels = np.stack([np.arange(9) % n_way, (np.arange(9) + 1) % n_way]).astype(np.int32)
    labels[:, -1] = -1
    kernels, biases = fit_task_batch(FEATURES, labels, n_way)
    assert kernels.dtype == biases.dtype == np.float32
    assert kernels.shape == (2, 4, n_way) and biases.shape == (2, n_way)
    for features, of_episode, kernel, bias in zip(FEATURES, labels, kernels, biases):
        logits = features @ kernel + bias
        ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        regression = LogisticRegression(C=1.0, max_iter=1000).fit(features[:8], of_episode[:8])
        np.testing.assert_allclose(ours, regression.predict_proba(features), atol=1e-5)


def test_a_class_without_samples_is_never_chosen():
    features = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    kernel, bias = fit_task_batch(features, np.array([[0, 2, 3, 0, 2, 3]], np.int32), n_way=4)
    logits = features[0] @ kernel[0] + bias[0]
    assert kernel.shape == (1, 4, 4) and kernel.dtype == bias.dtype == np.float32
    assert 1 not in logits.argmax(1) and {0, 2, 3} >= set(logits.argmax(1))
