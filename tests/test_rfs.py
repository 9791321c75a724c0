"""RFS: an embedding trained on all classes, and scikit-learn's classifier on its features."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from small_baselines import (
    BATCH,
    CLASSES,
    LABELS,
    MASK,
    QUERY,
    SUPPORT,
    SUPPORT_CLASSES,
    cross_entropy,
    feature_vectors,
    make_baseline,
)

from hypertransformer_tf.baselines.rfs import query_classes
from hypertransformer_tf.training.config import LossConfig
from hypertransformer_tf.training.losses import task_batch_losses

QUERY_CLASSES = np.array([[4, 7, 2, 4], [0, 8, 5, 8]])  # of the labels in BATCH


def _unit_vectors(model, images):
    features = feature_vectors(model, images)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("n_way", [2, 3])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_the_classifier_is_scikit_learns_on_the_unit_features_of_labelled_samples(n_way, mask):
    model = make_baseline("rfs")
    labels = np.where(LABELS < n_way, LABELS, -1).astype(np.int32)
    logits = model.classify(QUERY, model.generate(SUPPORT, labels, mask, n_way=n_way))
    for episode in range(len(SUPPORT)):
        used = (labels[episode] >= 0) & (True if mask is None else mask[episode] == 0)
        features = _unit_vectors(model, SUPPORT[episode])
        regression = LogisticRegression(C=1.0, max_iter=1000).fit(features[used], labels[episode][used])
        expected = regression.predict_proba(_unit_vectors(model, QUERY[episode]))
        np.testing.assert_allclose(tf.nn.softmax(logits[episode]), expected, atol=2e-3)
        assert expected.std() > 0.01


def test_queries_are_of_the_class_of_the_support_samples_with_their_label():
    classes = query_classes(BATCH.support_labels, BATCH.support_classes, BATCH.query_labels)
    np.testing.assert_array_equal(classes, QUERY_CLASSES)


def test_the_loss_is_the_cross_entropy_over_all_meta_train_classes_of_both_sets():
    model = make_baseline("rfs")
    kernel, bias = reference.value(model.class_head.kernel), reference.value(model.class_head.bias)
    assert kernel.shape[1] == CLASSES
    logits, classes = [], np.concatenate([SUPPORT_CLASSES, QUERY_CLASSES], axis=1)
    for support, query in zip(SUPPORT, QUERY):
        features = np.concatenate([feature_vectors(model, images) for images in (support, query)])
        logits.append(features @ kernel + bias)
    losses = task_batch_losses(model, BATCH, LossConfig(), tf.constant(0))
    expected = np.mean([cross_entropy(each, of_episode) for each, of_episode in zip(logits, classes)])
    assert float(losses.total) == pytest.approx(expected, rel=1e-3)
    assert float(losses.accuracy) == pytest.approx(np.mean(np.argmax(logits, -1) == classes))
