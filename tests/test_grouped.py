"""The grouped form of a CNN layer computes what the plain form does, gradients too, where XLA compiles it."""

import numpy as np
import pytest
import tensorflow as tf

from hypertransformer_tf.cnn import grouped, plain
from hypertransformer_tf.cnn.architecture import ConvolutionSpec, build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.cnn.run import ACTIVATIONS

POOLED = ConvolutionSpec(1, (7, 7, 2), (3, 3, 4), 3, 1, "SAME", 2, True)
STRIDED = build_architecture(CnnConfig(architecture="3-layer", stride=2, channels=3), (16, 16, 2)).convolutions[0]


def _inputs(spec, kernels):
    stream = np.random.default_rng(0)
    shapes = ((3, 2) + spec.input_shape, (kernels,) + spec.kernel_shape, (kernels, spec.output_shape[-1]))
    return [tf.constant(stream.normal(size=shape), tf.float32) for shape in shapes]


def _outputs_and_gradients(form, spec, activation, inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = form.convolve_activate_pool(*inputs, spec, ACTIVATIONS[activation])
        weights = np.random.default_rng(1).normal(size=outputs.shape).astype(np.float32)
        total = tf.reduce_sum(outputs * weights)
    return [outputs, *tape.gradient(total, inputs)]


@pytest.mark.parametrize("spec", [POOLED, STRIDED], ids=["pooled", "strided"])
def test_a_number_of_episodes_that_is_not_known_is_served_too(spec):
    inputs = _inputs(spec, 3)
    unknown = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in inputs]
    layer = tf.function(
        lambda *inputs: grouped.convolve_activate_pool(*inputs, spec, ACTIVATIONS["relu"]), input_signature=unknown
    )
    expected = plain.convolve_activate_pool(*inputs, spec, ACTIVATIONS["relu"])
    np.testing.assert_allclose(layer(*inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spec", [POOLED, STRIDED], ids=["pooled", "strided"])
@pytest.mark.parametrize("kernels", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_forms_agree(spec, kernels, activation):
    inputs = _inputs(spec, kernels)
    expected = _outputs_and_gradients(plain, spec, activation, inputs)
    compiled = tf.function(
        lambda *inputs: _outputs_and_gradients(grouped, spec, activation, list(inputs)), jit_compile=True
    )
    for ours, theirs in zip(compiled(*inputs), expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())
