"""Read-out: which entry of which block becomes which weight, against loops."""

import numpy as np
import pytest

from hypertransformer_tf.cnn.architecture import ConvolutionSpec
from hypertransformer_tf.cnn.config import GeneratorConfig
from hypertransformer_tf.cnn.layout import BlockLayout, convolution_layout, logits_layout
from hypertransformer_tf.cnn.readout import read_convolution, read_logits

SPEC = ConvolutionSpec(1, (8, 8, 2), (4, 4, 5), 3, 1, "SAME", 2, True)


def _blocks(layout, extra=0):
    return np.random.default_rng(0).normal(size=(2, layout.tokens, layout.size + extra)).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("extra", [0, 7])
def test_output_allocation_stacks_one_block_per_output_channel(bias, batch_norm, extra):
    config = GeneratorConfig(bias=bias, batch_norm=batch_norm)
    layout = convolution_layout(SPEC, config)
    assert layout == BlockLayout(tokens=5, size=3 * 3 * 2 + int(bias) + 2 * int(batch_norm))
    blocks = _blocks(layout, extra)
    readout = read_convolution(blocks, SPEC, config)
    assert tuple(readout.kernel.shape) == (2, 3, 3, 2, 5)
    for episode in range(2):
        for channel in range(5):
            entries = list(blocks[episode, channel])
            for y in range(3):
                for x in range(3):
                    for c in range(2):
                        assert readout.kernel[episode, y, x, c, channel] == entries.pop(0)
            if bias:
                assert readout.bias[episode, channel] == entries.pop(0)
            if batch_norm:
                assert readout.gamma[episode, channel] == entries.pop(0)
                assert readout.beta[episode, channel] == entries.pop(0)
            assert len(entries) == extra
    assert [tensor is not None for tensor in readout] == [True, bias, batch_norm, batch_norm]


@pytest.mark.parametrize("extra", [0, 7])
def test_spatial_allocation_has_one_block_per_kernel_position(extra):
    config = GeneratorConfig(allocation="spatial")
    layout = convolution_layout(SPEC, config)
    assert layout == BlockLayout(tokens=9, size=2 * 5)
    blocks = _blocks(layout, extra)
    readout = read_convolution(blocks, SPEC, config)
    assert readout[1:] == (None, None, None)
    for episode in range(2):
        for y in range(3):
            for x in range(3):
                for c in range(2):
                    for channel in range(5):
                        entry = blocks[episode, y * 3 + x, c * 5 + channel]
                        assert readout.kernel[episode, y, x, c, channel] == entry


@pytest.mark.parametrize("extra", [0, 3])
def test_logits_have_one_block_per_class_and_the_bias_behind_the_weights(extra):
    layout = logits_layout(4, 6)
    assert layout == BlockLayout(tokens=4, size=7)
    blocks = _blocks(layout, extra)
    weights = read_logits(blocks, 6)
    assert tuple(weights.kernel.shape) == (2, 6, 4) and tuple(weights.bias.shape) == (2, 4)
    for episode in range(2):
        for label in range(4):
            np.testing.assert_array_equal(np.array(weights.kernel)[episode, :, label], blocks[episode, label, :6])
            assert weights.bias[episode, label] == blocks[episode, label, 6]
