"""The forms of convolutions that feature extractors use agree with TensorFlow's convolution, gradients too."""

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.layers.convolutions import convolve, mean_of_convolution


def _compare(ours, theirs, image_shape, kernel_shape):
    """Both functions of images and kernel: their values and the gradients of a weighed sum of these."""
    numbers = np.random.default_rng(0)
    images, kernel = (tf.constant(numbers.normal(size=shape), tf.float32) for shape in (image_shape, kernel_shape))
    found = []
    for function in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            values = function(images, kernel)
            weights = np.random.default_rng(1).normal(size=values.shape)
            total = tf.reduce_sum(values * tf.constant(weights, tf.float32))
        found.append((values, *tape.gradient(total, [images, kernel])))
    for one, other in zip(*found):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size, side", [((28, 28), 3), ((7, 7), 3), ((6, 9), 3), ((8, 8), 2), ((3, 3), 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_is_tensorflows(size, side, stride, padding, channels):
    _compare(
        lambda images, kernel: convolve(images, kernel, stride, padding),
        lambda images, kernel: tf.nn.conv2d(images, kernel, stride, padding),
        (2, *size, channels),
        (side, side, channels, 5),
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size, side", [((13, 13), 3), ((14, 14), 3), ((5, 8), 3), ((2, 2), 2), ((3, 3), 3)])
@pytest.mark.parametrize("channels", [1, 4])
def test_the_mean_of_a_convolution_is_that_of_tensorflows(size, side, stride, channels):
    _compare(
        lambda images, kernel: mean_of_convolution(images, kernel, stride),
        lambda images, kernel: tf.reduce_mean(tf.nn.conv2d(images, kernel, stride, "VALID"), axis=(1, 2)),
        (2, *size, channels),
        (side, side, channels, 5),
    )


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_a_mean_in_a_lower_precision_is_summed_up_in_float32(dtype):
    """4,096 ones and as many times 1/512 added in the lower precision would stand still."""
    images = tf.concat([tf.ones((1, 64, 64, 1), dtype), tf.fill((1, 64, 64, 1), tf.cast(1 / 512, dtype))], -1)
    means = mean_of_convolution(images, tf.ones((1, 1, 2, 1), dtype), 1)
    assert means.dtype == dtype
    np.testing.assert_allclose(tf.cast(means, tf.float32), [[1 + 1 / 512]], rtol=1e-2)
