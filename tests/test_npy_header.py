"""The header of a `.npy` file says what it holds and ends where the content begins."""

import io

import numpy as np
import pytest

from hypertransformer_tf.data.npy_header import read_npy_header


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint8).reshape(2, 3), np.array(1.5), np.zeros((0, 4), bool)])
def test_shape_and_dtype_are_read_and_the_content_comes_next(array, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    file.seek(0)
    shape, dtype = read_npy_header(file)
    assert shape == array.shape and dtype == array.dtype
    assert file.read() == array.tobytes()


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUM", b"PK\x03\x04 something else", b"\x93NUMPY\x01\x00\x10\x00{'descr'"]
)
def test_what_is_no_npy_file_is_refused(content):
    with pytest.raises(ValueError):
        read_npy_header(io.BytesIO(content))
