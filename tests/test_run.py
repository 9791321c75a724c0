"""Running generated CNNs: layer after layer as the reference does, each episode with its own weights."""

import numpy as np
import numpy_reference as reference
import pytest

from hypertransformer_tf.cnn.architecture import LogitsSpec, build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.cnn.run import run_cnn, run_convolution, run_logits
from hypertransformer_tf.cnn.weights import ConvolutionWeights, GeneratedWeights, LogitsWeights

EPISODES, SAMPLES, N_WAY = 2, 3, 4
PAPERS = build_architecture(CnnConfig(channels=3), (18, 18, 2))
AVERAGING = build_architecture(CnnConfig(architecture="3-layer", stride=2, channels=3), (18, 18, 2))
IMAGES = np.random.default_rng(0).normal(size=(EPISODES, SAMPLES, 18, 18, 2)).astype(np.float32)


def _weights(architecture, bias=False, heads=False):
    stream = np.random.default_rng(1)

    def draw(*shape):
        return stream.normal(size=(EPISODES,) + shape).astype(np.float32)

    def dense(size):
        return LogitsWeights(draw(size, N_WAY), draw(N_WAY))

    convolutions = tuple(
        ConvolutionWeights(draw(*spec.kernel_shape), draw(3) if bias else None, draw(3), draw(3))
        for spec in architecture.convolutions
    )
    head_weights = tuple(dense(3) for _ in architecture.convolutions[:-1]) if heads else ()
    return GeneratedWeights(convolutions, dense(architecture.logits.input_size), head_weights, (), None)


def _expected(architecture, weights, episode, activation):
    """Feature maps after every layer, and the logits."""
    maps = [IMAGES[episode].astype(np.float64)]
    for spec, layer in zip(architecture.convolutions, weights.convolutions):
        maps.append(
            reference.convolution_layer(
                maps[-1],
                layer.kernel[episode],
                layer.gamma[episode],
                layer.beta[episode],
                bias=None if layer.bias is None else layer.bias[episode],
                activation=activation,
                stride=spec.stride,
                padding=spec.padding,
                pool=spec.pool,
            )
        )
    features = maps[-1].reshape(SAMPLES, -1) if architecture.logits.flatten else maps[-1].mean(axis=(1, 2))
    return maps, features @ weights.logits.kernel[episode] + weights.logits.bias[episode]


@pytest.mark.parametrize("architecture", [PAPERS, AVERAGING], ids=["papers", "averaging"])
@pytest.mark.parametrize("form", ["folded", "plain"])
@pytest.mark.parametrize("activation, bias", [("relu", False), ("leaky_relu", True)])
def test_a_cnn_computes_what_the_reference_does(architecture, form, activation, bias):
    weights = _weights(architecture, bias)
    logits, heads = run_cnn(IMAGES, weights, architecture, activation, form)
    assert tuple(logits.shape) == (EPISODES, SAMPLES, N_WAY) and heads == ()
    for episode in range(EPISODES):
        expected = _expected(architecture, weights, episode, activation)[1]
        np.testing.assert_allclose(logits[episode], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["folded", "plain"])
def test_activation_comes_before_the_pool_and_normalisation_after_it(form):
    spec, weights = PAPERS.convolutions[0], _weights(PAPERS).convolutions[0]
    outputs = run_convolution(IMAGES, weights, spec, "leaky_relu", form)
    expected = _expected(PAPERS, _weights(PAPERS), 1, "leaky_relu")[0][1]
    np.testing.assert_allclose(outputs[1], expected, rtol=1e-4, atol=1e-4)
    moments = np.array(outputs).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(moments, weights.beta, rtol=1e-3, atol=1e-3)


def test_warm_up_heads_read_the_spatial_average_of_every_layer_but_the_last():
    weights = _weights(PAPERS, heads=True)
    logits, heads = run_cnn(IMAGES, weights, PAPERS, "relu")
    assert len(heads) == len(PAPERS.convolutions) - 1
    maps, expected = _expected(PAPERS, weights, 0, "relu")
    np.testing.assert_allclose(logits[0], expected, rtol=1e-3, atol=1e-3)
    for features, head, outputs in zip(maps[1:], weights.heads, heads):
        by_hand = features.mean(axis=(1, 2)) @ head.kernel[0] + head.bias[0]
        np.testing.assert_allclose(outputs[0], by_hand, rtol=1e-3, atol=1e-3)


def test_what_comes_before_the_logits_touches_neither_maps_nor_heads():
    weights = _weights(PAPERS, heads=True)
    logits, heads = run_cnn(IMAGES, weights, PAPERS, "relu")
    cleared, same_heads = run_cnn(IMAGES, weights, PAPERS, "relu", before_logits=lambda features: 0.0 * features)
    np.testing.assert_allclose(cleared, np.broadcast_to(weights.logits.bias[:, np.newaxis], logits.shape), rtol=1e-6)
    for head, same in zip(heads, same_heads):
        np.testing.assert_array_equal(same, head)


@pytest.mark.parametrize("flatten", [True, False])
def test_logits_read_the_whole_map_or_its_average(flatten):
    stream = np.random.default_rng(2)
    spec = LogitsSpec(5, (2, 2, 3), flatten)
    features = stream.normal(size=(2, 4, 2, 2, 3)).astype(np.float32)
    weights = LogitsWeights(
        stream.normal(size=(2, spec.input_size, N_WAY)).astype(np.float32),
        stream.normal(size=(2, N_WAY)).astype(np.float32),
    )
    logits = run_logits(features, weights, spec)
    for episode in range(2):
        flat = features[episode].reshape(4, -1) if flatten else features[episode].mean(axis=(1, 2))
        expected = flat @ weights.kernel[episode] + weights.bias[episode]
        np.testing.assert_allclose(logits[episode], expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_those_of_the_batch_so_one_query_ends_in_a_constant():
    weights = _weights(PAPERS)
    one, other = run_cnn(IMAGES[:, :1], weights, PAPERS, "relu")[0], run_cnn(IMAGES[:, 1:2], weights, PAPERS, "relu")[0]
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
