"""Resemblance is the cosine to a class's mean, and tells pictures of no class from those of one."""

import numpy as np
import pytest
from small_classifier import drawings, make_inductive_model

from hypertransformer_tf.deployment.resemblance import class_means, resemblance_to_classes


def test_means_are_those_of_each_class_alone():
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    labels = np.array([1, 0, 1, -1, 0])
    np.testing.assert_allclose(
        class_means(features, labels, 2), [features[[1, 4]].mean(0), features[[0, 2]].mean(0)], rtol=1e-6
    )


def test_a_masked_picture_counts_in_no_mean():
    features = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    labels, mask = np.array([0, 0, 1, 1]), np.array([[1, 0, 0, 0], [0, 0, 0, 1.0]])
    means = class_means(features, labels, 2, mask)
    np.testing.assert_allclose(means[0], [features[0, 1], features[0, 2:].mean(0)], rtol=1e-6)
    np.testing.assert_allclose(means[1], [features[1, :2].mean(0), features[1, 2]], rtol=1e-6)


@pytest.mark.parametrize(
    "picture, expected", [((2, 0), 1.0), ((1, 1), np.sqrt(0.5)), ((0, 3), 0.0), ((-1, 0), 0.0), ((0, 0), 0.0)]
)
def test_it_is_a_cosine_and_at_least_0(picture, expected):
    assert resemblance_to_classes(np.array([picture], float), np.array([[5.0, 0.0]]))[0, 0] == pytest.approx(expected)


def test_features_are_what_the_logits_layer_reads():
    model, (images, labels) = make_inductive_model(), drawings()
    weights = model.generate(images[..., np.newaxis], labels.astype(np.int32), n_way=3)
    features = np.asarray(model.features(images[..., np.newaxis], weights))
    logits = features @ np.asarray(weights.logits.kernel) + np.asarray(weights.logits.bias)
    np.testing.assert_allclose(logits, model.classify(images[..., np.newaxis], weights), atol=1e-4)
