"""Statistics kept from the support set: queries do not see each other, padding does not count, shares follow size."""

import numpy as np
import pytest
import small_model as small
from layer_checks import check_layer

from hypertransformer_tf.cnn.normalisation import Statistics, batch_moments, moments_for
from hypertransformer_tf.layers.statistics import SupportStatistics

STREAM = np.random.default_rng(0)
ACTIVATIONS = (STREAM.normal(size=(2, 5, 3, 3, 4)) * 2.0 + 1.0).astype(np.float32)


@pytest.mark.parametrize("blend", [False, True])
def test_support_statistics_do_what_every_layer_does(blend):
    check_layer(
        lambda: SupportStatistics(blend, name="statistics"),
        [ACTIVATIONS],
        build=[],
        output_shapes=[(2, 4), (2, 4)] + [(2,)] * blend,
        variables=int(blend),
        computes_in="float32",
    )


@pytest.mark.parametrize("source", ["support", "task"])
def test_a_query_asked_alone_gets_the_logits_it_gets_among_others(source):
    model = small.make_model(small.changed(cnn={"normalisation": source}))
    weights = model.generate(small.SUPPORT, small.LABELS)
    together = model.classify(small.QUERY, weights)
    for query in range(small.QUERY.shape[1]):
        alone = model.classify(small.QUERY[:, query : query + 1], weights)
        np.testing.assert_allclose(alone[:, 0], together[:, query], rtol=1e-5, atol=1e-5)


def test_with_query_statistics_it_does_not():
    model = small.make_model()
    weights = model.generate(small.SUPPORT, small.LABELS)
    alone = np.array(model.classify(small.QUERY[:, :1], weights))[:, 0]
    assert np.abs(alone - np.array(model.classify(small.QUERY, weights))[:, 0]).max() > 1e-2


@pytest.mark.parametrize("source", ["support", "task"])
def test_a_padded_support_sample_changes_no_logit(source):
    model = small.make_model(small.changed(cnn={"normalisation": source}))
    expected = model.classify(small.QUERY, model.generate(small.SUPPORT, small.LABELS))
    padding = STREAM.integers(0, 256, size=(2, 3) + small.SHAPE, dtype=np.uint8)
    images = np.concatenate([small.SUPPORT, padding], axis=1)
    labels = np.concatenate([small.LABELS, np.full((2, 3), -1, np.int32)], axis=1)
    mask = np.concatenate([np.zeros(small.LABELS.shape), np.ones((2, 3))], axis=1)
    result = model.classify(small.QUERY, model.generate(images, labels, mask))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_masked_moments_are_those_of_the_others():
    mask = np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0]], np.float32)
    moments = batch_moments(ACTIVATIONS, mask)
    for episode in range(2):
        others = batch_moments(ACTIVATIONS[episode : episode + 1, mask[episode] == 0])
        np.testing.assert_allclose(moments.mean[episode], others.mean[0], rtol=1e-5)
        np.testing.assert_allclose(moments.variance[episode], others.variance[0], rtol=1e-5)


def test_a_picture_that_weighs_one_sample_is_normalised_as_one_more_of_the_support_set():
    layer = SupportStatistics(blend=True)
    layer.build()
    picture = STREAM.normal(size=(2, 1, 3, 3, 4)).astype(np.float32)
    blended = moments_for(picture, layer(ACTIVATIONS))
    joined = batch_moments(np.concatenate([ACTIVATIONS, picture], axis=1))
    np.testing.assert_allclose(blended.mean, joined.mean, rtol=1e-5)
    np.testing.assert_allclose(blended.variance, joined.variance, rtol=1e-5)


def test_a_pictures_share_falls_with_the_number_of_samples_that_count():
    layer = SupportStatistics(blend=True)
    layer.build()
    mask = np.array([[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(layer(ACTIVATIONS, mask).own_share, [1 / 6, 1 / 4], rtol=1e-6)


def test_support_statistics_are_used_as_they_are():
    mean, variance = np.full((2, 4), 3.0, np.float32), np.full((2, 4), 2.0, np.float32)
    moments = moments_for(ACTIVATIONS, Statistics(mean, variance, None))
    np.testing.assert_array_equal(np.squeeze(moments.mean), mean)
    np.testing.assert_array_equal(np.squeeze(moments.variance), variance)
