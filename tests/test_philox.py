"""Uniform numbers are a documented function of the generator's words."""

import numpy as np

from hypertransformer_tf import philox


def test_numbers_are_the_upper_53_bits_of_the_words_in_order():
    words = np.random.Philox(key=7).random_raw(6)
    expected = [(int(word) >> 11) / 2**53 for word in words]
    assert philox.uniforms(np.random.Philox(key=7), (2, 3)).ravel().tolist() == expected


def test_further_numbers_continue_the_stream_and_none_are_nothing():
    generator = np.random.Philox(key=7)
    parts = [philox.uniforms(generator, shape) for shape in ((2,), (0, 3), (), (3,))]
    whole = philox.uniforms(np.random.Philox(key=7), (6,))
    assert np.concatenate([part.ravel() for part in parts]).tolist() == whole.tolist()
