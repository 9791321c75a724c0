"""The header of a `.npy` file: what it holds, before anything of it is loaded."""

from typing import BinaryIO

import numpy as np


def read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the array in a file opened at its beginning, which is left where the content begins.

    Raises:
      ValueError: it is no `.npy` file.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
