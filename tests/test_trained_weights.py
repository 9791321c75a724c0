"""Trained weights of CNN layers: alone where nothing is generated, added where something is."""

import numpy as np
import numpy_reference as reference
import pytest
from layer_checks import check_layer, randomise

from hypertransformer_tf.cnn.readout import ConvolutionReadout
from hypertransformer_tf.cnn.weights import LogitsWeights
from hypertransformer_tf.layers.trained_weights import TrainedConvolution, TrainedLogits

STREAM = np.random.default_rng(0)
SHAPE = (3, 3, 2, 4)
KERNEL = STREAM.normal(size=(5,) + SHAPE).astype(np.float32)
VECTORS = STREAM.normal(size=(3, 5, 4)).astype(np.float32)
NOTHING = ConvolutionReadout(None, None, None, None)


def _trained(kernel=True, bias=True, norm=True):
    layer = TrainedConvolution(SHAPE, kernel, bias, norm, name="trained")
    layer.build()
    return randomise(layer)


def test_a_trained_convolution_does_what_every_layer_does():
    check_layer(
        lambda: TrainedConvolution(SHAPE, kernel=True, bias=True, norm=True, name="trained"),
        [KERNEL, *VECTORS],
        build=[],
        output_shapes=[(5,) + SHAPE, (5, 4), (5, 4), (5, 4)],
        variables=4,
        call=lambda layer, *generated: layer.add_to(ConvolutionReadout(*generated)),
        leading_axes=1,
        computes_in="float32",
    )


def test_trained_logits_do_what_every_layer_does():
    check_layer(
        lambda: TrainedLogits(6, 3, name="trained"),
        [STREAM.normal(size=(5, 6, 3)).astype(np.float32), STREAM.normal(size=(5, 3)).astype(np.float32)],
        build=[],
        output_shapes=[(5, 6, 3), (5, 3)],
        variables=2,
        call=lambda layer, *generated: layer.add_to(LogitsWeights(*generated)),
        leading_axes=1,
        computes_in="float32",
    )


def test_what_is_trained_is_added_to_what_is_generated():
    layer = _trained()
    weights = layer.add_to(ConvolutionReadout(KERNEL, *VECTORS))
    for name, generated in zip(ConvolutionReadout._fields, (KERNEL, *VECTORS)):
        expected = generated + reference.value(getattr(layer, name))
        np.testing.assert_allclose(getattr(weights, name), expected, rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_not_generated_shares_one_kernel_among_all_episodes():
    layer = _trained()
    weights = layer.add_to(None)
    assert tuple(weights.kernel.shape) == (1,) + SHAPE
    np.testing.assert_allclose(weights.kernel[0], reference.value(layer.kernel), rtol=1e-6)
    assert all(tuple(vector.shape) == (1, 4) for vector in (weights.bias, weights.gamma, weights.beta))


@pytest.mark.parametrize("kernel, bias, norm, variables", [(0, 0, 1, 2), (1, 0, 1, 3), (1, 1, 1, 4), (0, 0, 0, 0)])
def test_only_the_variables_asked_for_exist(kernel, bias, norm, variables):
    assert len(_trained(bool(kernel), bool(bias), bool(norm)).weights) == variables


def test_generated_tensors_pass_where_nothing_is_trained():
    weights = _trained(kernel=False, bias=False).add_to(NOTHING._replace(kernel=KERNEL))
    assert weights.kernel is KERNEL and weights.bias is None
    assert tuple(weights.gamma.shape) == (1, 4)


def test_fresh_normalisation_neither_scales_nor_shifts():
    layer = TrainedConvolution(SHAPE, kernel=False, bias=False, norm=True, name="trained")
    layer.build()
    np.testing.assert_array_equal(reference.value(layer.gamma), np.ones(4))
    np.testing.assert_array_equal(reference.value(layer.beta), np.zeros(4))


def test_trained_logits_stand_alone_too():
    layer = TrainedLogits(6, 3, name="trained")
    layer.build()
    randomise(layer)
    weights = layer.add_to(None)
    np.testing.assert_allclose(weights.kernel[0], reference.value(layer.kernel), rtol=1e-6)
    np.testing.assert_allclose(weights.bias[0], reference.value(layer.bias), rtol=1e-6)
