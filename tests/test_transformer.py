"""Encoder and decoder layers, and the sizes that fractions of the token size stand for."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from layer_checks import check_layer, randomise

from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.layers.transformer import DecoderLayer, EncoderLayer, FeedForward
from hypertransformer_tf.layers.transformer_sizes import TransformerSizes

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
ENCODED = np.random.default_rng(1).normal(size=(2, 4, 9)).astype(np.float32)
MASK = np.array([[0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], np.float32)
ENCODED_MASK = np.array([[0, 1, 0, 0], [1, 0, 0, 0]], np.float32)
SIZES = TransformerSizes(token=6, query_key=4, value=8, inner=10, heads=2)
NO_FEED_FORWARD = TransformerSizes(token=6, query_key=4, value=8, inner=0, heads=2)


def _encoder(sizes=SIZES, attention="softmax", activation="relu", dropout_rate=0.0):
    layer = EncoderLayer(sizes, attention, activation, dropout_rate, name="encoder")
    layer.build(TOKENS.shape)
    return randomise(layer)


def _decoder(sizes=SIZES, attention="softmax", activation="relu"):
    layer = DecoderLayer(sizes, attention, activation, name="decoder")
    layer.build(TOKENS.shape, ENCODED.shape)
    return randomise(layer)


def test_the_feed_forward_network_does_what_every_layer_does():
    check_layer(
        lambda: FeedForward(6, 10, "gelu", name="feed_forward"),
        [TOKENS],
        build=[TOKENS.shape],
        output_shapes=[TOKENS.shape],
        variables=4,
    )


@pytest.mark.parametrize("sizes, variables", [(SIZES, 8 + 2 + 4 + 2), (NO_FEED_FORWARD, 8 + 2)])
def test_an_encoder_layer_does_what_every_layer_does(sizes, variables):
    check_layer(
        lambda: EncoderLayer(sizes, activation="leaky_relu", name="encoder"),
        [TOKENS, MASK],
        build=[TOKENS.shape],
        output_shapes=[TOKENS.shape],
        variables=variables,
        without_gradient=lambda layer: [layer.self_attention.key.bias],
    )


@pytest.mark.parametrize("sizes, variables", [(SIZES, 2 * 10 + 4 + 2), (NO_FEED_FORWARD, 2 * 10)])
def test_a_decoder_layer_does_what_every_layer_does(sizes, variables):
    check_layer(
        lambda: DecoderLayer(sizes, name="decoder"),
        [TOKENS, ENCODED, MASK, ENCODED_MASK],
        build=[TOKENS.shape, ENCODED.shape],
        output_shapes=[TOKENS.shape],
        variables=variables,
        without_gradient=lambda layer: [layer.self_attention.key.bias, layer.cross_attention.key.bias],
    )


@pytest.mark.parametrize("activation", ["relu", "gelu", "leaky_relu", "none"])
@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_an_encoder_layer_adds_and_normalises_attention_then_feed_forward(activation, attention):
    layer = _encoder(attention=attention, activation=activation)
    for mask in (None, MASK):
        outputs = layer(TOKENS, key_mask=mask)
        for episode in range(2):
            expected = reference.encoder_layer(layer, TOKENS[episode], None if mask is None else mask[episode])
            np.testing.assert_allclose(outputs[episode], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_a_decoder_layer_also_attends_to_the_encoded_sequence(attention):
    layer = _decoder(attention=attention)
    outputs = layer(TOKENS, ENCODED, key_mask=MASK, encoded_key_mask=ENCODED_MASK)
    for episode in range(2):
        expected = reference.decoder_layer(
            layer, TOKENS[episode], ENCODED[episode], MASK[episode], ENCODED_MASK[episode]
        )
        np.testing.assert_allclose(outputs[episode], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "make, inputs", [(_encoder, (TOKENS, MASK)), (_decoder, (TOKENS, ENCODED, MASK, ENCODED_MASK))]
)
def test_the_first_tokens_come_out_alone_as_they_do_among_all(make, inputs):
    layer = make()
    np.testing.assert_allclose(layer(*inputs, first_tokens=2), layer(*inputs)[:, :2], rtol=1e-5, atol=1e-6)


def test_an_inner_size_of_zero_is_no_feed_forward_network():
    encoder, decoder = _encoder(NO_FEED_FORWARD), _decoder(NO_FEED_FORWARD)
    assert encoder.feed_forward is None and decoder.feed_forward is None
    expected = reference.encoder_layer(encoder, TOKENS[0])
    np.testing.assert_allclose(encoder(TOKENS)[0], expected, rtol=1e-3, atol=1e-4)


def test_slope_and_form_of_the_activations():
    values = np.array([[[-2.0, -0.5, 0.0, 1.0]]], np.float32)
    expected = {
        "relu": [0.0, 0.0, 0.0, 1.0],
        "leaky_relu": [-0.2, -0.05, 0.0, 1.0],
        "gelu": [-0.04550026, -0.15426877, 0.0, 0.8413447],
        "none": [-2.0, -0.5, 0.0, 1.0],
    }
    for activation, outputs in expected.items():
        layer = FeedForward(4, 4, activation, name="feed_forward")
        layer.build(values.shape)
        for dense in (layer.inner, layer.outer):
            dense.kernel.assign(np.eye(4))
            dense.bias.assign(np.zeros(4))
        np.testing.assert_allclose(layer(values)[0, 0], outputs, rtol=1e-5, atol=1e-6)


def test_dropout_acts_only_where_it_is_handed_in():
    layer = _encoder(dropout_rate=0.5)
    np.testing.assert_allclose(layer(TOKENS), _encoder()(TOKENS), rtol=1e-6)
    dropped = np.array(layer(TOKENS, dropout=Dropout(tf.constant([1, 2]))))
    assert np.abs(dropped - np.array(layer(TOKENS))).max() > 1e-3


@pytest.mark.parametrize(
    "token, heads, fraction, expected",
    [(40, 2, 1.0, 40), (41, 2, 1.0, 42), (41, 2, 0.5, 20), (43, 2, 0.5, 22), (40, 8, 0.5, 24), (41, 8, 0.1, 8)],
)
def test_fractions_are_rounded_up_to_a_multiple_of_the_heads(token, heads, fraction, expected):
    sizes = TransformerSizes.of_token(token, heads, fraction, fraction, fraction, round_up=True)
    assert sizes == TransformerSizes(token, expected, expected, expected, heads)


def test_values_above_three_are_sizes_and_three_is_a_fraction():
    assert TransformerSizes.of_token(10, 2, 3.0, 4, 64.0, round_up=True) == TransformerSizes(10, 30, 4, 64, 2)


def test_the_separate_generator_does_not_round_sizes():
    assert TransformerSizes.of_token(41, 2, 0.5, 0.1, 1.0, round_up=False) == TransformerSizes(41, 20, 4, 41, 2)


def test_a_fraction_of_zero_is_a_size_of_zero():
    assert TransformerSizes.of_token(41, 2, 1.0, 1.0, 0.0, round_up=True).inner == 0
