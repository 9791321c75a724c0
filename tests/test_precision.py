"""What is computed in float32 in a model that computes in a lower precision, and that the rest is near."""

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import randomise, tensorflow_variable
from small_model import (
    LABELS,
    MASK,
    N_WAY,
    QUERY,
    QUERY_LABELS,
    SHAPE,
    SMALL,
    SUPPORT,
    changed,
    make_model,
)

from hypertransformer_tf.cnn.normalisation import batch_moments, normalise
from hypertransformer_tf.cnn.precision import mean_over_space
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.layers.attention import MultiHeadAttention
from hypertransformer_tf.layers.dropout import Dropout
from hypertransformer_tf.model.hypertransformer import HyperTransformer

HALVES = (tf.bfloat16, tf.float16)
POLICIES = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
SCALE = 2.0**15  # of the loss: without it many a gradient is zero in float16
RICH = changed(
    cnn={"normalisation": "task", "warmup_heads": "trained"},
    generator={"bias": True, "batch_norm": True, "add_trained_weights": True},
    transformer={"variant": "separate", "heads": 1},
    features={"shared_batch_norm": True, "logits": "mix"},
)


def _activations(dtype, scale):
    values = np.random.default_rng(0).normal(size=(2, 5, 6, 6, 3)) * scale
    return tf.cast(values, dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_moments_of_activations_whose_squares_float16_cannot_hold(dtype):
    activations = _activations(dtype, 1000.0)
    moments, expected = batch_moments(activations), batch_moments(tf.cast(activations, tf.float32))
    for ours, theirs in zip(moments, expected):
        assert ours.dtype == tf.float32
        np.testing.assert_array_equal(ours, theirs)
    ones = tf.ones((1, 3))
    normalised = normalise(activations, moments, ones, 0.0 * ones)
    assert normalised.dtype == dtype
    np.testing.assert_allclose(np.var(np.array(normalised, np.float32), axis=(1, 2, 3)), 1.0, atol=0.02)


def test_a_mean_over_space_does_not_stop_growing():
    """A running sum in bfloat16 stays at 256 when ones are added."""
    assert float(mean_over_space(tf.ones((1, 64, 64, 1), tf.bfloat16))[0, 0]) == 1.0


@pytest.mark.parametrize("policy", POLICIES)
def test_attention_weights_sum_to_one_as_closely_as_float32_can_tell(policy):
    layer = MultiHeadAttention(2, 8, 8, 8, dtype=policy)
    layer.build((None, None, 8))
    tokens = tf.random.stateless_normal((1, 500, 8), (0, 0))
    weights = layer.attention_weights(tokens[:, :3], tokens)
    assert weights.dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1.0, atol=1e-5)


def test_a_masked_key_gets_nothing_in_float16():
    """The mask's 100 million is infinite in float16, and infinity times zero is no number."""
    layers = [MultiHeadAttention(2, 8, 8, 8, dtype=policy) for policy in ("float32", "mixed_float16")]
    tokens, mask = tf.random.stateless_normal((1, 6, 8), (0, 0)), tf.constant([[0.0, 0, 1, 0, 1, 0]])
    outputs = []
    for layer in layers:
        layer.build((None, None, 8))
        outputs.append(np.array(randomise(layer)(tokens, tokens, mask), np.float32))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=0.02 * np.abs(outputs[0]).max())


@pytest.mark.parametrize("dtype", HALVES)
def test_dropout_has_its_rate(dtype):
    dropped = Dropout(tf.constant([0, 1])).apply(tf.ones(200_000, dtype), 0.002)
    assert dropped.dtype == dtype
    assert 0.0015 < float(tf.reduce_mean(tf.cast(dropped == 0, tf.float32))) < 0.0025


def _logits(model):
    return np.array(model.classify(QUERY, model.generate(SUPPORT, LABELS, MASK)))


def _rounded(config, dtype):
    """The model in float32 with variables that the lower precision holds: how much rounding matters to this model."""
    model = make_model(config)
    for variable in model.weights:
        variable.assign(tf.cast(tf.cast(tf.convert_to_tensor(variable), dtype), tf.float32))
    return model


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", [SMALL, pytest.param(RICH, marks=pytest.mark.slow)], ids=["plain", "rich"])
def test_a_model_in_a_lower_precision_differs_as_rounding_does(policy, config):
    dtype, model = POLICIES[policy], make_model(config, dtype=policy)
    assert {variable.dtype for variable in model.weights} <= {"float32", tf.float32}
    weights = model.generate(SUPPORT, LABELS, MASK)
    assert weights.blocks[-1].dtype == weights.shared_features.dtype == dtype
    logits, expected = model.classify(QUERY, weights), _logits(make_model(config))
    assert logits.dtype == tf.float32
    rounding = np.abs(_logits(_rounded(config, dtype)) - expected).max()
    assert 0 < np.abs(logits - expected).max() <= 20 * rounding  # TensorFlow 2.15 adds in float16 on a CPU


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("config", [SMALL, pytest.param(RICH, marks=pytest.mark.slow)], ids=["plain", "rich"])
def test_its_gradients_are_finite_and_float32(policy, config):
    model = make_model(config, dtype=policy)
    with tf.GradientTape() as tape:
        logits = model.classify(QUERY, model.generate(SUPPORT, LABELS, MASK))
        loss = SCALE * tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(QUERY_LABELS, logits))
    gradients = tape.gradient(loss, [tensorflow_variable(variable) for variable in model.trainable_variables])
    reached = [gradient for gradient in gradients if gradient is not None]
    assert {gradient.dtype for gradient in reached} == {tf.float32}
    assert all(np.isfinite(gradient).all() for gradient in reached)
    assert np.mean([np.abs(gradient).max() > 0 for gradient in reached]) > 0.9


def test_absent_classes_stay_absent_in_float16():
    model = make_model(dtype="mixed_float16")
    logits = model.classify(QUERY, model.generate(SUPPORT, LABELS, n_way=tf.constant(2)))
    assert np.isfinite(logits).all() and (np.array(logits)[..., 2] < -1e8).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_all_layers_have_the_precision_of_the_model_but_the_statistics(policy):
    model, dtype = make_model(RICH, dtype=policy), POLICIES[policy]
    computing = {layer.name: layer.compute_dtype for layer in model._flatten_layers(include_self=False)}
    assert {name for name in computing if computing[name] == "float32"} == {
        f"layer_{index}_statistics" for index in range(1, 5)
    }
    assert set(computing.values()) == {"float32", dtype.name}
    assert make_model().compute_dtype == "float32", "the policy of one model is not that of the next"


def test_a_model_is_made_again_in_its_precision():
    model = make_model(dtype="mixed_bfloat16")
    again = HyperTransformer.from_config(model.get_config())
    assert again.compute_dtype == "bfloat16" and again.get_config() == model.get_config()


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_precisions_are_refused(dtype):
    with pytest.raises(UserError, match=f"'{dtype}' is not right: use 'float32', 'mixed_bfloat16'"):
        HyperTransformer(SHAPE, N_WAY, SMALL, dtype=dtype)
