"""Sine, cosine and tanh agree with the mathematics and are made of exact operations."""

import hashlib
import math

import numpy as np
import pytest

from hypertransformer_tf.episodes import portable_functions


def test_sine_and_cosine_are_those_of_the_angle():
    for degrees in np.linspace(-400, 400, 1601):
        sine, cosine = portable_functions.sine_and_cosine(float(degrees))
        assert sine == pytest.approx(math.sin(math.radians(degrees)), abs=1e-15 * 4)
        assert cosine == pytest.approx(math.cos(math.radians(degrees)), abs=1e-15 * 4)


@pytest.mark.parametrize(
    "degrees, expected", [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (-90, (-1, 0)), (450, (1, 0))]
)
def test_right_angles_are_exact(degrees, expected):
    assert portable_functions.sine_and_cosine(float(degrees)) == expected


def test_tanh_is_that_of_numpy():
    values = np.linspace(-10, 10, 2001)
    np.testing.assert_allclose(portable_functions.tanh(values), np.tanh(values), rtol=1e-13, atol=1e-300)


def test_they_are_the_same_on_every_machine():
    angles = [portable_functions.sine_and_cosine(float(degrees)) for degrees in 0.7 * np.arange(-250, 250)]
    digest = hashlib.sha256(np.array(angles, "<f8").tobytes())
    digest.update(portable_functions.tanh(0.01 * np.arange(-500, 500)).astype("<f8").tobytes())
    assert digest.hexdigest() == "525a2f48cdb019151e684ba9c724be7032177579910c0d44ff5635b3389b4435"
