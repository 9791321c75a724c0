"""Random numbers that are the same on every machine and with every version of NumPy.

NumPy guarantees the words of its bit generators for ever, but not what its distributions make of them.
"""

import math

import numpy as np


def uniforms(generator: np.random.Philox, shape: tuple[int, ...]) -> np.ndarray:
    """The generator's next words as float64 numbers of the given shape, uniform in [0, 1), multiples of 2**-53."""
    words = generator.random_raw(math.prod(shape))
    return ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)
