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
def test_a_convolution_of_one_channel_is_tensorflows(size, side, stride, padding):
    _compare(
        lambda images, kernel: convolve(images, kernel, stride, padding),
        lambda images, kernel: tf.nn.conv2d(images, kernel, stride, padding),
        (2, *size, 1),
        (side, side, 1, 5),
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
def test_means_in_a_lower_precision_are_taken_in_float32(dtype):
    @tf.function
    def mean(images, kernel):
        return mean_of_convolution(images, kernel, 1)

    images, kernel = (np.random.default_rng(0).normal(size=shape) for shape in ((2, 9, 9, 3), (3, 3, 3, 4)))
    images, kernel = tf.cast(images, dtype), tf.cast(kernel, dtype)
    graph = mean.get_concrete_function(images, kernel).graph
    means = [op for op in graph.get_operations() if op.type == "Mean"]
    assert means and {op.inputs[0].dtype for op in means} == {tf.float32}
    found = mean(images, kernel)
    assert found.dtype == dtype
    wanted = tf.reduce_mean(tf.nn.conv2d(*(tf.cast(each, tf.float32) for each in (images, kernel)), 1, "VALID"), (1, 2))
    np.testing.assert_allclose(tf.cast(found, tf.float32), wanted, rtol=0.02, atol=0.02)


def test_an_input_smaller_than_the_kernel_is_refused():
    with pytest.raises(ValueError, match="A side of 2 is smaller than that of the kernel, 3"):
        mean_of_convolution(tf.zeros((1, 4, 2, 1)), tf.zeros((3, 3, 1, 2)), 2)


def test_a_batch_of_any_size_is_compiled_too():
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 1, 4)), tf.float32)

    @tf.function(jit_compile=True, input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def ours(images):
        return convolve(images, kernel, 2, "SAME")

    images = tf.constant(np.random.default_rng(1).normal(size=(5, 8, 8, 1)), tf.float32)
    np.testing.assert_allclose(ours(images), tf.nn.conv2d(images, kernel, 2, "SAME"), rtol=1e-4, atol=1e-5)
