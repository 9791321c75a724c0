"""weights.npz: small, and every number of it as it was."""

import io

import numpy as np
import pytest
from small_cnns import LAYOUTS, make_class_means, make_cnn

from hypertransformer_tf.deployment.weights_file import read_weights, weights_file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_is_read_again(layout):
    cnn = make_cnn(layout)
    arrays = read_weights(weights_file(cnn, make_class_means(cnn)))
    for convolution in cnn.convolutions:
        for name in ("kernel", "bias", "gamma", "beta", "mean", "variance", "own_share"):
            value, key = getattr(convolution, name), f"convolution_{convolution.spec.index}/{name}"
            assert (key in arrays) == (value is not None)
            if value is not None:
                np.testing.assert_array_equal(arrays.pop(key), np.float32(value))
    np.testing.assert_array_equal(arrays.pop("logits/kernel"), cnn.logits_kernel)
    np.testing.assert_array_equal(arrays.pop("logits/bias"), cnn.logits_bias)
    np.testing.assert_array_equal(arrays.pop("class_means"), make_class_means(cnn))
    assert not arrays


def test_numpy_alone_reads_it():
    cnn = make_cnn("blended moments")
    with np.load(io.BytesIO(weights_file(cnn, make_class_means(cnn))), allow_pickle=False) as file:
        assert file["convolution_2/normalisation"].shape == (4, 4) and file["own_share"].shape == (4,)
        assert {array.dtype for array in file.values()} == {np.dtype(np.float32)}


def test_what_is_no_such_file_is_an_error():
    with pytest.raises((ValueError, KeyError, OSError)):
        read_weights(b"no file of NumPy")
