"""Feature extractors: a sample becomes the vector that the description says, on inputs of any size."""

import math

import numpy as np
import numpy_reference as reference
import pytest
from layer_checks import check_layer, randomise

from hypertransformer_tf.layers.features import LocalFeatures, LogitsFeatures, SharedFeatures


def _images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _local(images, features=3, layers=2, kernel_size=3, nonlinear=False):
    """A local extractor with random variables, its features, and those of the reference."""
    layer = LocalFeatures(features, layers, kernel_size, nonlinear, name="local")
    layer.build((None,) + images.shape[1:])
    randomise(layer)
    variables = [(reference.value(kernel), reference.value(bias)) for kernel, bias, _ in layer.convolutions]
    full = variables + [(np.zeros((kernel_size, kernel_size, features, features)), np.zeros(features))] * (
        layers - len(variables)
    )
    return layer, np.array(layer(images)), reference.local_features(images, full, kernel_size, nonlinear)


def test_local_features_do_what_every_layer_does():
    check_layer(
        lambda: LocalFeatures(3, 2, name="extractor"),
        [_images(4, 9, 9, 2)],
        build=[(None, 9, 9, 2)],
        output_shapes=[(4, 6)],
        variables=4,
        leading_axes=1,
    )


@pytest.mark.parametrize("side", [3, 4, 5, 7, 8, 14, 28])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_local_features_are_averages_of_strided_convolutions(side, layers):
    layer, features, expected = _local(_images(3, side, side, 2), layers=layers)
    assert features.shape == (3, layer.output_size) == expected.shape
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_every_convolution_but_the_last_has_stride_two():
    layer, _, _ = _local(_images(1, 28, 28, 1), layers=3)
    assert [stride for _, _, stride in layer.convolutions] == [2, 2, 1]


@pytest.mark.parametrize("side", [1, 2])
def test_an_input_smaller_than_the_kernel_sets_kernel_and_stride(side):
    layer, features, expected = _local(_images(3, side, side, 2), layers=1)
    kernel, _, stride = layer.convolutions[0]
    assert tuple(kernel.shape) == (side, side, 2, 3) and stride == 1
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_a_shrunken_kernel_has_stride_one_in_all_layers():
    layer, features, expected = _local(_images(3, 1, 1, 2), layers=3)
    assert [stride for _, _, stride in layer.convolutions] == [1, 1, 1]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side, layers, kept", [(3, 2, 1), (4, 2, 1), (5, 2, 1), (7, 2, 2), (7, 3, 2), (2, 2, 1)])
def test_a_convolution_with_less_input_than_its_kernel_is_left_out(side, layers, kept):
    layer, features, _ = _local(_images(2, side, side, 1), layers=layers)
    assert len(layer.convolutions) == kept and len(layer.weights) == 2 * kept
    assert features.shape == (2, 3 * kept)


def test_features_are_read_before_the_relu_and_after_it_where_asked():
    images = _images(4, 7, 7, 2)
    _, linear, expected_linear = _local(images)
    _, nonlinear, expected_nonlinear = _local(images, nonlinear=True)
    assert linear.min() < 0.0 <= nonlinear.min()
    np.testing.assert_allclose(linear, expected_linear, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(nonlinear, expected_nonlinear, rtol=1e-4, atol=1e-5)


def test_larger_kernels_are_possible():
    layer, features, expected = _local(_images(2, 12, 12, 1), kernel_size=5)
    assert tuple(layer.convolutions[0][0].shape[:2]) == (5, 5)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def _logits(source, images, features=3, nonlinear=False):
    layer = LogitsFeatures(source, features, nonlinear, name="logits_features")
    layer.build((None,) + images.shape[1:])
    return randomise(layer)


@pytest.mark.parametrize("source, size, variables", [("convolution", 3, 2), ("mix", 8 + 3, 2)])
def test_logits_features_do_what_every_layer_does(source, size, variables):
    check_layer(
        lambda: LogitsFeatures(source, 3, name="extractor"),
        [_images(4, 2, 2, 2)],
        build=[(None, 2, 2, 2)],
        output_shapes=[(4, size)],
        variables=variables,
        leading_axes=1,
    )


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("nonlinear", [False, True])
def test_logits_features_read_the_map_one_convolution_or_both(side, nonlinear):
    images = _images(4, side, side, 2)
    flat = images.reshape(4, -1)
    mix = _logits("mix", images, nonlinear=nonlinear)
    kernel, bias, _ = mix.convolution.convolutions[0]
    convolved = reference.local_features(images, [(reference.value(kernel), reference.value(bias))], 3, nonlinear)
    np.testing.assert_allclose(mix(images), np.concatenate([flat, convolved], -1), rtol=1e-4, atol=1e-5)
    alone = _logits("convolution", images, nonlinear=nonlinear)
    np.testing.assert_allclose(alone(images), convolved, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(_logits("passthrough", images)(images), flat)


def test_passthrough_has_no_variables_and_mix_without_filters_is_the_map_alone():
    images = _images(2, 2, 2, 3)
    assert _logits("passthrough", images).weights == []
    mix = _logits("mix", images, features=0)
    assert mix.weights == [] and mix.output_size == 12
    np.testing.assert_array_equal(mix(images), images.reshape(2, -1))


@pytest.mark.parametrize("batch_norm, variables", [(False, 6), (True, 12)])
def test_shared_features_do_what_every_layer_does(batch_norm, variables):
    check_layer(
        lambda: SharedFeatures(4, 3, "same", batch_norm, name="extractor"),
        [_images(2, 5, 9, 9, 1)],
        build=[(None, None, 9, 9, 1)],
        output_shapes=[(2, 5, 4)],
        variables=variables,
    )


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("padding, side", [("same", 16), ("same", 13), ("valid", 31), ("valid", 36)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_shared_features_are_the_average_of_the_last_map(layers, padding, side, batch_norm):
    images = _images(2, 3, side, side, 1)
    layer = SharedFeatures(4, layers, padding, batch_norm, name="shared")
    layer.build(images.shape)
    randomise(layer)
    expected = np.stack([reference.shared_features(layer, episode) for episode in images])
    np.testing.assert_allclose(layer(images), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_shared_batch_norm_knows_only_the_samples_of_its_own_episode():
    layer = SharedFeatures(4, 2, "same", batch_norm=True, name="shared")
    layer.build((None, None, 8, 8, 1))
    randomise(layer)
    episodes = _images(3, 5, 8, 8, 1)
    together = np.array(layer(episodes))
    changed = episodes.copy()
    changed[1:] = 7.0 * changed[1:] + 3.0
    np.testing.assert_allclose(np.array(layer(changed))[0], together[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(layer(episodes[2:]))[0], together[2], rtol=1e-5, atol=1e-6)
    changed = episodes.copy()
    changed[0, 4] += 1.0
    assert np.abs(np.array(layer(changed))[0, 0] - together[0, 0]).max() > 1e-3


def test_masked_samples_count_in_no_moments_of_the_shared_batch_norm():
    layer = SharedFeatures(4, 2, "same", batch_norm=True, name="shared")
    layer.build((None, None, 8, 8, 1))
    randomise(layer)
    episodes, noise = _images(2, 5, 8, 8, 1), 100.0 * _images(2, 3, 8, 8, 1, seed=1)
    mask = np.pad(np.zeros((2, 5), np.float32), ((0, 0), (1, 2)), constant_values=1)
    padded = np.concatenate([noise[:, :1], episodes, noise[:, 1:]], 1)
    np.testing.assert_allclose(layer(padded, mask)[:, 1:6], layer(episodes), rtol=1e-4, atol=1e-5)
    assert np.abs(layer(padded)[:, 1:6] - layer(episodes)).max() > 1e-2


def test_without_batch_norm_every_sample_stands_alone():
    layer = SharedFeatures(4, 3, "same", name="shared")
    layer.build((None, None, 8, 8, 1))
    randomise(layer)
    episode = _images(1, 5, 8, 8, 1)
    np.testing.assert_allclose(layer(episode[:, 2:3])[0, 0], layer(episode)[0, 2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "initializer, deviation",
    [("glorot_uniform", math.sqrt(2 / (9 * 8 + 9 * 16))), ("he_normal", math.sqrt(2 / (9 * 8)))],
)
def test_kernels_begin_as_the_initialiser_says_in_every_extractor(initializer, deviation):
    layers = {
        "local": LocalFeatures(16, 1, initializer=initializer, name="local"),
        "logits": LogitsFeatures("mix", 16, initializer=initializer, name="logits"),
        "shared": SharedFeatures(16, 2, initializer=initializer, name="shared"),
    }
    for name, layer in layers.items():
        layer.build((None, None, 9, 9, 8) if name == "shared" else (None, 9, 9, 8))
        kernel = reference.value((layer.convolution if name == "logits" else layer).convolutions[0][0])
        assert abs(kernel.std() - deviation) < 0.1 * deviation, name
