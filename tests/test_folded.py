"""The folded form of a CNN layer computes what the plain form does, gradients too."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.cnn import folded, plain
from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.run import ACTIVATIONS


def _spec(side, c_in, c_out):
    return ConvolutionSpec(1, (side, side, c_in), (side // 2, side // 2, c_out), 3, 1, "SAME", 2, True)


def _inputs(spec, episodes, kernels, seed=0):
    stream = np.random.default_rng(seed)
    images = stream.normal(size=(episodes, 2) + spec.input_shape)
    kernel = stream.normal(size=(kernels,) + spec.kernel_shape)
    bias = stream.normal(size=(kernels, spec.output_shape[-1]))
    return [tf.constant(array, tf.float32) for array in (images, kernel, bias)]


def _outputs_and_gradients(form, inputs, spec, activation):
    with tf.GradientTape() as tape:
        tape.watch([value for value in inputs if value is not None])
        outputs = form.convolve_activate_pool(inputs[0], inputs[1], inputs[2], spec, ACTIVATIONS[activation])
        weights = np.random.default_rng(1).normal(size=outputs.shape).astype(np.float32)
        total = tf.reduce_sum(outputs * weights)
    watched = [value for value in inputs if value is not None]
    return [outputs] + tape.gradient(total, watched)


def _check_same(inputs, spec, activation="relu"):
    fast = _outputs_and_gradients(folded, inputs, spec, activation)
    slow = _outputs_and_gradients(plain, inputs, spec, activation)
    for result, expected in zip(fast, slow):
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("side", [2, 3, 7, 14, 21, 28, 84])
@pytest.mark.parametrize("c_in, c_out", [(1, 8), (3, 4)])
def test_forms_agree_for_even_and_odd_sides(side, c_in, c_out):
    spec = _spec(side, c_in, c_out)
    _check_same(_inputs(spec, 1, 1), spec)


@pytest.mark.parametrize("c_in, c_out", [(1, 1), (1, 16), (2, 3), (8, 8), (16, 16), (16, 1)])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_forms_agree_for_any_number_of_channels(c_in, c_out, activation):
    spec = _spec(7, c_in, c_out)
    _check_same(_inputs(spec, 3, 3), spec, activation)


@pytest.mark.parametrize("episodes, kernels", [(1, 1), (3, 3), (3, 1)])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("c_in, c_out", [(2, 4), (1, 8)])
def test_forms_agree_for_task_batches_and_shared_kernels(episodes, kernels, with_bias, activation, c_in, c_out):
    spec = _spec(14, c_in, c_out)
    inputs = _inputs(spec, episodes, kernels)
    _check_same(inputs if with_bias else inputs[:2] + [None], spec, activation)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_values_agree_on_a_constant_background(side, activation):
    spec = _spec(side, 1, 4)
    images, kernel, bias = _inputs(spec, 3, 3)
    drawn = tf.cast(np.random.default_rng(2).random(images.shape) > 0.9, tf.float32)
    inputs = [2.0 * drawn - 1.0, kernel, bias]
    fast = _outputs_and_gradients(folded, inputs, spec, activation)
    slow = _outputs_and_gradients(plain, inputs, spec, activation)
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_gradients_of_weights_do_not_depend_on_how_ties_share_on_a_constant_background(activation):
    # Away from the border all four candidates of a pool see the same inputs: whoever wins, the kernel learns the same.
    spec = _spec(12, 1, 4)
    images, kernel, bias = _inputs(spec, 3, 3)
    inside = np.zeros((6, 6, 1), np.float32)
    inside[1:-1, 1:-1] = 1.0
    gradients = []
    for form in (folded, plain):
        with tf.GradientTape() as tape:
            tape.watch([kernel, bias])
            outputs = form.convolve_activate_pool(tf.ones_like(images), kernel, bias, spec, ACTIVATIONS[activation])
            total = tf.reduce_sum(outputs * inside)
        gradients.append(tape.gradient(total, [kernel, bias]))
    for fast, slow in zip(*gradients):
        np.testing.assert_allclose(fast, slow, rtol=1e-5, atol=1e-5 * np.abs(slow).max())


def test_ties_share_a_gradient_that_sums_to_one():
    spec = _spec(12, 1, 1)
    images = tf.ones((1, 2) + spec.input_shape)
    with tf.GradientTape() as tape:
        tape.watch(images)
        kernel = tf.zeros((1,) + spec.kernel_shape) + tf.reshape(tf.one_hot(4, 9), (1, 3, 3, 1, 1))
        total = tf.reduce_sum(folded.convolve_activate_pool(images, kernel, None, spec, ACTIVATIONS["relu"]))
    gradient = np.array(tape.gradient(total, images))
    pools = gradient.reshape(2, 6, 2, 6, 2).sum(axis=(2, 4))
    np.testing.assert_allclose(pools, 1.0, rtol=1e-6)


def test_an_odd_last_row_and_column_reach_the_output_through_the_kernel_only():
    spec = _spec(7, 1, 2)
    images, kernel, _ = _inputs(spec, 1, 1)
    outputs = folded.convolve_activate_pool(images, kernel, None, spec, ACTIVATIONS["leaky_relu"])
    assert tuple(outputs.shape) == (1, 2, 3, 3, 2)
    changed = images.numpy()
    changed[:, :, 6, :] += 5.0
    np.testing.assert_array_equal(
        np.array(folded.convolve_activate_pool(changed, kernel, None, spec, ACTIVATIONS["leaky_relu"]))[:, :, :2],
        outputs[:, :, :2],
    )


@pytest.mark.parametrize("c_in, c_out", [(1, 8), (2, 8), (8, 8)])
def test_gradients_of_second_order_agree(c_in, c_out):
    spec = _spec(7, c_in, c_out)
    images, kernel, bias = (tf.cast(each, tf.float64) for each in _inputs(spec, 3, 3))

    def second_order(form):
        with tf.GradientTape() as outer:
            outer.watch((images, kernel))
            with tf.GradientTape() as inner:
                inner.watch(kernel)
                outputs = form.convolve_activate_pool(images, kernel, bias, spec, ACTIVATIONS["relu"])
                loss = tf.reduce_sum(outputs**3)
            total = tf.reduce_sum(inner.gradient(loss, kernel) ** 2)
        return outer.gradient(total, (images, kernel))

    for found, expected in zip(second_order(folded), second_order(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(
    "c_in, c_out, left", [(1, 8, "patches"), (2, 8, "outputs"), (3, 8, "outputs"), (3, 16, "patches")]
)
def test_the_narrower_factor_of_the_kernels_gradient_is_on_the_left(c_in, c_out, left):
    spec = _spec(14, c_in, c_out)

    def gradient(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            outputs = folded.convolve_activate_pool(images, kernel, None, spec, ACTIVATIONS["relu"])
        return tape.gradient(outputs, kernel)

    graph = tf.function(gradient).get_concrete_function(*_inputs(spec, 3, 3)[:2]).graph
    shapes = [tuple(each.outputs[0].shape) for each in graph.get_operations() if "BatchMatMul" in each.type]
    inputs, outputs = 16 * c_in, 4 * c_out
    assert ((3, inputs, outputs) if left == "patches" else (3, outputs, inputs)) in shapes


@pytest.mark.parametrize("c_in, c_out", [(2, 3), (1, 8)])
def test_lengths_may_be_unknown_in_a_graph(c_in, c_out):
    spec = _spec(7, c_in, c_out)
    inputs = _inputs(spec, 3, 3)
    signature = [tf.TensorSpec([None, None, 7, 7, c_in]), tf.TensorSpec([None, 3, 3, c_in, c_out])]
    for form in (folded, plain):

        def run(images, kernel, form=form):
            return form.convolve_activate_pool(images, kernel, None, spec, ACTIVATIONS["relu"])

        graph = tf.function(lambda images, kernel, run=run: run(images, kernel), input_signature=signature)
        np.testing.assert_allclose(graph(*inputs[:2]), run(*inputs[:2]), rtol=1e-5, atol=1e-5)


def test_only_the_papers_layer_can_be_folded():
    spec = _spec(14, 2, 3)
    assert folded.applies_to(spec)
    for change in ({"kernel_size": 5}, {"stride": 2}, {"padding": "VALID"}, {"pool": 1}):
        assert not folded.applies_to(dataclasses.replace(spec, **change))
