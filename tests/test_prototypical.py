"""Prototypical networks, as their paper defines them, against NumPy."""

import numpy as np
import pytest
from small_baselines import (
    AVERAGING,
    BATCH,
    CNN,
    LABELS,
    MASK,
    N_WAY,
    QUERY,
    QUERY_LABELS,
    SUPPORT,
    cross_entropy,
    feature_vectors,
    make_baseline,
    new_baseline,
)

from hypertransformer_tf.baselines.prototypical import squared_distances
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.training.config import LossConfig
from hypertransformer_tf.training.losses import task_batch_losses


def _prototypes(model, episode, ignored):
    features = feature_vectors(model, SUPPORT[episode])
    samples = range(len(features))
    return np.array(
        [
            np.mean([features[i] for i in samples if LABELS[episode, i] == label and not ignored[i]], axis=0)
            for label in range(N_WAY)
        ]
    )


def _logits(model, episode, ignored):
    prototypes = _prototypes(model, episode, ignored)
    queries = feature_vectors(model, QUERY[episode])
    return np.array([[-np.sum((query - prototype) ** 2) for prototype in prototypes] for query in queries])


@pytest.mark.parametrize("cnn", [CNN, AVERAGING], ids=["flattened", "averaged"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_a_prototype_is_the_mean_of_the_embedded_labelled_samples_of_its_class(cnn, mask):
    model = make_baseline("prototypical", cnn)
    learned = model.generate(SUPPORT, LABELS, mask)
    for episode in range(len(SUPPORT)):
        ignored = np.zeros(LABELS.shape[1]) if mask is None else mask[episode]
        expected = _prototypes(model, episode, ignored)
        np.testing.assert_allclose(learned.prototypes[episode], expected, rtol=1e-3, atol=1e-4)


def test_logits_are_negative_squared_distances_to_the_prototypes():
    model = make_baseline("prototypical")
    logits = model.classify(QUERY, model.generate(SUPPORT, LABELS))
    for episode in range(len(SUPPORT)):
        expected = _logits(model, episode, np.zeros(LABELS.shape[1]))
        np.testing.assert_allclose(logits[episode], expected, rtol=1e-3, atol=1e-3)


def test_a_query_on_its_prototype_has_a_logit_of_zero_and_no_logit_is_above():
    points = np.random.default_rng(0).normal(size=(1, N_WAY, 5)).astype(np.float32)
    distances = np.array(squared_distances(points, points))[0]
    assert (np.diag(distances) == 0).all() and (distances >= 0).all() and distances.sum() > 1


def test_the_loss_is_the_cross_entropy_of_the_query_set():
    model = make_baseline("prototypical")
    losses = task_batch_losses(model, BATCH, LossConfig(), step=0)
    logits = [_logits(model, episode, np.zeros(LABELS.shape[1])) for episode in range(len(SUPPORT))]
    expected = np.mean([cross_entropy(each, labels) for each, labels in zip(logits, QUERY_LABELS)])
    assert float(losses.total) == float(losses.cross_entropy) == pytest.approx(expected, rel=1e-3)
    assert float(losses.accuracy) == np.mean([each.argmax(-1) for each in logits] == QUERY_LABELS)


def test_distances_begin_at_about_two_where_the_whole_map_is_read():
    model = new_baseline("prototypical", CnnConfig(channels=32))
    features = feature_vectors(model, QUERY[0])
    first, second = np.triu_indices(len(features), 1)
    assert 1 < np.mean(np.sum((features[first] - features[second]) ** 2, -1)) < 3


def test_averages_over_space_are_close_enough_to_begin_as_they_are():
    (*_, last) = new_baseline("prototypical", AVERAGING).convolutions.trained
    assert np.all(np.asarray(last.gamma) == 1)
