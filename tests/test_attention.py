"""Multi-head attention: what each query takes from each key, against loops over queries and keys."""

import numpy as np
import numpy_reference as reference
import pytest
from layer_checks import check_layer, randomise

from hypertransformer_tf.layers.attention import MultiHeadAttention

QUERIES = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
KEYS = np.random.default_rng(1).normal(size=(2, 5, 9)).astype(np.float32)
MASK = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], np.float32)


def _attention(heads=2, query_key=4, value=6, output=8, activation="softmax"):
    layer = MultiHeadAttention(heads, query_key, value, output, activation, name="attention")
    layer.build(QUERIES.shape, KEYS.shape)
    return randomise(layer)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_attention_does_what_every_layer_does(activation):
    # The bias of the keys adds the same to all logits of a query, which softmax does not see.
    check_layer(
        lambda: MultiHeadAttention(2, 4, 6, 8, activation, name="attention"),
        [QUERIES, KEYS, MASK],
        build=[QUERIES.shape, KEYS.shape],
        output_shapes=[(2, 3, 8)],
        variables=8,
        without_gradient=lambda layer: [layer.key.bias] if activation == "softmax" else [],
    )


@pytest.mark.parametrize("heads, query_key, value", [(1, 4, 4), (2, 4, 6), (4, 8, 4), (3, 3, 9)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_attention_is_what_loops_over_heads_queries_and_keys_give(heads, query_key, value, activation):
    layer = _attention(heads, query_key, value, 5, activation)
    for mask in (None, MASK):
        outputs, weights = layer(QUERIES, KEYS, mask), layer.attention_weights(QUERIES, KEYS, mask)
        for episode in range(2):
            arguments = (layer, QUERIES[episode], KEYS[episode], None if mask is None else mask[episode])
            np.testing.assert_allclose(weights[episode], reference.attention_weights(*arguments), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(outputs[episode], reference.attention(*arguments), rtol=1e-4, atol=1e-5)


def test_softmax_weights_sum_to_one_and_sigmoid_weights_do_not_compete():
    softmax, sigmoid = _attention(), _attention(activation="sigmoid")
    np.testing.assert_allclose(np.sum(softmax.attention_weights(QUERIES, KEYS), -1), 1.0, rtol=1e-6)
    weights = np.array(sigmoid.attention_weights(QUERIES, KEYS))
    np.testing.assert_allclose(sigmoid.attention_weights(QUERIES, KEYS[:, :2]), weights[..., :2], rtol=1e-6)
    assert np.all((weights > 0.0) & (weights < 1.0)) and np.ptp(weights.sum(-1)) > 0.01


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_masked_key_takes_no_part(activation):
    layer = _attention(activation=activation)
    outputs = np.array(layer(QUERIES, KEYS, MASK))
    weights = np.array(layer.attention_weights(QUERIES, KEYS, MASK))
    assert np.all(weights.transpose(0, 3, 1, 2)[MASK == 1] == 0.0)
    changed = KEYS + 100.0 * MASK[..., np.newaxis]
    np.testing.assert_array_equal(layer(QUERIES, changed, MASK), outputs)
    without = np.array(layer(QUERIES[:1], KEYS[:1, [0, 2, 3]]))
    np.testing.assert_allclose(outputs[:1], without, rtol=1e-5, atol=1e-6)


def test_a_mask_of_zeros_changes_nothing():
    layer = _attention()
    np.testing.assert_array_equal(layer(QUERIES, KEYS, np.zeros((2, 5), np.float32)), layer(QUERIES, KEYS))


def test_the_order_of_the_keys_does_not_matter():
    layer, order = _attention(), [3, 1, 4, 0, 2]
    np.testing.assert_allclose(layer(QUERIES, KEYS[:, order]), layer(QUERIES, KEYS), rtol=1e-5, atol=1e-6)


def test_episodes_do_not_see_each_other():
    layer = _attention()
    np.testing.assert_allclose(layer(QUERIES[1:], KEYS[1:])[0], layer(QUERIES, KEYS)[1], rtol=1e-5, atol=1e-6)
