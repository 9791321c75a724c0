"""Kernels as arrays, and laid out as pictures."""

import numpy as np
import pytest
from small_model import LABELS, SUPPORT, changed, make_model

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.inspection.kernels import generated_kernels, kernel_grid

IMAGES, SHOWN = SUPPORT[0], LABELS[0]


def test_kernels_are_those_that_the_generated_cnn_computes_with():
    model = make_model(changed(cnn={"trained_layers": 1}))
    weights = model.generate(IMAGES, SHOWN)
    kernels = generated_kernels(model, IMAGES, SHOWN)
    assert [kernel.shape for kernel in kernels] == [(3, 3, 1, 4)] + 3 * [(3, 3, 4, 4)] + [(4, 3)]
    for kernel, convolution in zip(kernels, weights.convolutions):
        assert isinstance(kernel, np.ndarray) and kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, convolution.kernel)
    np.testing.assert_array_equal(kernels[-1], weights.logits.kernel)


def test_fewer_classes_make_a_narrower_logits_layer():
    assert generated_kernels(make_model(), IMAGES, SHOWN % 2, n_way=2)[-1].shape == (4, 2)


def test_another_support_set_makes_other_kernels():
    model = make_model()
    first, second = (generated_kernels(model, images, SHOWN)[0] for images in (IMAGES, SUPPORT[1]))
    assert np.abs(first - second).max() > 1e-3


def test_a_grid_has_a_row_per_input_and_a_column_per_output():
    kernel = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
    grid = kernel_grid(kernel)
    assert grid.shape == (2 * 4 - 1, 4 * 4 - 1)
    for c_in in range(2):
        for c_out in range(4):
            cell = grid[4 * c_in : 4 * c_in + 3, 4 * c_out : 4 * c_out + 3]
            np.testing.assert_array_equal(cell, kernel[:, :, c_in, c_out])
    assert np.isnan(grid[3]).all() and np.isnan(grid[:, 3::4]).all()
    assert np.isnan(grid).sum() == grid.size - kernel.size


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: generated_kernels(make_model(), SUPPORT, LABELS), "support_images have 5 axes"),
        (lambda: kernel_grid(np.zeros((4, 3))), r"kernel has shape \(4, 3\)"),
    ],
)
def test_what_cannot_be_shown_is_refused(call, said):
    with pytest.raises(UserError, match=said):
        call()
