"""The plain form of a CNN layer, against convolution and pooling window by window."""

import math

import numpy as np
import numpy_reference as reference
import pytest

from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.plain import convolve_activate_pool
from hypertransformer_tf.cnn.run import ACTIVATIONS

STREAM = np.random.default_rng(0)


def _spec(side, kernel_size=3, stride=1, padding="SAME", pool=2):
    outputs = math.ceil(side / stride) if padding == "SAME" else (side - kernel_size) // stride + 1
    outputs //= pool
    return ConvolutionSpec(1, (side, side, 2), (outputs, outputs, 3), kernel_size, stride, padding, pool, True)


def _inputs(episodes, kernels, spec):
    images = STREAM.normal(size=(episodes, 3) + spec.input_shape)
    kernel = STREAM.normal(size=(kernels,) + spec.kernel_shape)
    bias = STREAM.normal(size=(kernels, spec.output_shape[-1]))
    return images.astype(np.float32), kernel.astype(np.float32), bias.astype(np.float32)


def _expected(images, kernel, bias, spec, activation):
    function = reference.FUNCTIONS["relu" if activation == "relu" else "cnn_leaky_relu"]
    episodes = []
    for index, episode in enumerate(images):
        index = index if len(kernel) > 1 else 0
        outputs = reference.convolve(episode, kernel[index], spec.stride, spec.padding)
        if bias is not None:
            outputs = outputs + bias[index]
        episodes.append(reference.max_pool(function(outputs), spec.pool))
    return np.stack(episodes)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding, pool", [("SAME", 2), ("VALID", 1)])
@pytest.mark.parametrize("side, kernel_size", [(13, 3), (14, 3), (13, 5), (14, 2), (14, 1)])
def test_a_layer_is_convolution_activation_pool(stride, padding, pool, side, kernel_size):
    spec = _spec(side, kernel_size, stride, padding, pool)
    images, kernel, bias = _inputs(2, 2, spec)
    outputs = convolve_activate_pool(images, kernel, bias, spec, ACTIVATIONS["leaky_relu"])
    assert tuple(outputs.shape) == (2, 3) + spec.output_shape
    np.testing.assert_allclose(outputs, _expected(images, kernel, bias, spec, "leaky_relu"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("episodes, kernels", [(1, 1), (3, 3), (3, 1)])
def test_episodes_have_kernels_of_their_own_or_share_one(activation, with_bias, episodes, kernels):
    spec = _spec(7)
    images, kernel, bias = _inputs(episodes, kernels, spec)
    bias = bias if with_bias else None
    outputs = convolve_activate_pool(images, kernel, bias, spec, ACTIVATIONS[activation])
    np.testing.assert_allclose(outputs, _expected(images, kernel, bias, spec, activation), rtol=1e-4, atol=1e-4)
