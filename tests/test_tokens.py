"""Tokens: a sample carries its label's embedding and its features, a weight token only its embedding."""

import numpy as np
import numpy_reference as reference
import tensorflow as tf
from layer_checks import check_layer, randomise

from hypertransformer_tf.layers.tokens import SampleTokens, WeightTokens

LABELS = np.array([[0, 1, 2, -1], [2, -1, -1, 0]], np.int32)
FEATURES = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)


def _samples():
    layer = SampleTokens(3, 6, name="samples")
    layer.build()
    return randomise(layer)


def test_sample_tokens_do_what_every_layer_does():
    check_layer(
        lambda: SampleTokens(3, 6, name="samples"),
        [LABELS, FEATURES],
        build=[],
        output_shapes=[(2, 4, 13)],
        variables=1,
        call=lambda layer, labels, features: layer(labels, features, token_size=13),
    )


def test_weight_tokens_do_what_every_layer_does():
    check_layer(
        lambda: WeightTokens(4, 6, name="weights"),
        [],
        build=[],
        output_shapes=[(1, 4, 9)],
        variables=1,
        call=lambda layer: layer(token_size=9),
    )


def test_a_sample_token_is_embedding_features_zeros():
    layer = _samples()
    for size in (11, 12, 20):
        tokens = layer(LABELS, FEATURES, token_size=size)
        embeddings = reference.value(layer.label_embeddings)
        expected = [reference.sample_tokens(embeddings, *episode, size) for episode in zip(LABELS, FEATURES)]
        np.testing.assert_allclose(tokens, expected, rtol=1e-6)


def test_there_is_one_embedding_more_than_classes_and_the_last_one_stands_for_no_label():
    layer = _samples()
    assert tuple(layer.label_embeddings.shape) == (4, 6)
    tokens = np.array(layer(LABELS, FEATURES, token_size=11))
    for episode, sample in zip(*np.nonzero(LABELS == -1)):
        np.testing.assert_array_equal(tokens[episode, sample, :6], reference.value(layer.label_embeddings)[3])


def test_no_label_is_an_embedding_of_its_own_and_not_that_of_the_last_class():
    layer = _samples()
    labels = np.array([[2, -1]], np.int32)
    tokens = np.array(layer(labels, FEATURES[:1, :2] * 0.0, token_size=11))
    assert np.abs(tokens[0, 0] - tokens[0, 1]).max() > 0.1


def test_a_label_teaches_its_own_embedding_only():
    layer = _samples()
    variable = layer.label_embeddings
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(np.array([[1, -1]], np.int32), FEATURES[:1, :2], token_size=11))
    gradient = tape.gradient(total, variable if isinstance(variable, tf.Variable) else variable.value)
    expected = np.array([[0.0], [1.0], [0.0], [1.0]]) * np.ones((4, 6))
    np.testing.assert_array_equal(tf.convert_to_tensor(gradient), expected)


def test_a_weight_token_is_its_embedding_and_zeros():
    layer = WeightTokens(4, 6, name="weights")
    layer.build()
    randomise(layer)
    expected = reference.weight_tokens(reference.value(layer.weight_embeddings), 9)
    np.testing.assert_allclose(layer(token_size=9)[0], expected, rtol=1e-6)


def test_fresh_embeddings_are_drawn_with_unit_deviation():
    layer = WeightTokens(40, 50, name="weights")
    layer.build()
    values = reference.value(layer.weight_embeddings)
    assert abs(values.std() - 1.0) < 0.1 and abs(values.mean()) < 0.1
