"""Sine, cosine and hyperbolic tangent that come out the same on every machine, to the last bit.

Those of the C library and of NumPy depend on the processor and the version. Here are only +, -, *, / one after the
other, which IEEE 754 fixes; that matters more here than the last digits.
"""

import math
from typing import Tuple

import numpy as np

_TERMS = 10  # of a Taylor series up to an eighth of a turn: enough for float64
_HALVINGS = 10


def sine_and_cosine(degrees: float) -> Tuple[float, float]:
    """Of an angle in degrees; exact for right angles."""
    turns = round(degrees / 90)
    angle = (degrees - 90 * turns) * (math.pi / 180)  # from -pi / 4 to pi / 4
    square = angle * angle
    sine = cosine = 1.0
    for term in range(_TERMS, 0, -1):
        sine = 1.0 - sine * square / (2 * term * (2 * term + 1))
        cosine = 1.0 - cosine * square / (2 * term * (2 * term - 1))
    sine *= angle
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[turns % 4]


def tanh(values: np.ndarray) -> np.ndarray:
    """Of values from -10 to 10, float64: a series for a small part of them, doubled again and again."""
    small = np.asarray(values, np.float64) * 0.5**_HALVINGS
    square = small * small
    result = small * (1 - square * (1 / 3 - square * (2 / 15 - square * (17 / 315))))
    for _ in range(_HALVINGS):
        result = 2 * result / (1 + result * result)
    return result
