"""Claims about invented characters."""

import numpy as np

from hypertransformer_tf.data import glyph_strokes


def test_uniforms_are_the_documented_function_of_the_generators_words():
    words = np.random.Philox(key=np.array([5, 9], np.uint64)).random_raw(6)
    expected = [(int(word) >> 11) / 2**53 for word in words]
    assert glyph_strokes.uniforms(5, 9, (2, 3)).ravel().tolist() == expected


def test_uniforms_do_not_change_between_versions():
    assert glyph_strokes.uniforms(0, 0, (2,)).tolist() == [0.011546754286331562, 0.24154919656271812]


def test_uniforms_are_uniform_and_streams_differ():
    a, b = (glyph_strokes.uniforms(0, stream, (20000,)) for stream in (0, 1))
    assert a.min() >= 0 and a.max() < 1 and abs(a.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03


def test_characters_have_two_to_four_strokes_in_the_middle_of_the_unit_square():
    points, roundness, present = glyph_strokes.invent_characters(300, 0)
    assert points.shape == (300, 4, 5, 2) and set(np.unique(roundness)) == {0.0, 1.0}
    assert set(present.sum(axis=1)) == {2, 3, 4}
    for character, there in zip(points, present):
        extent = character[there].reshape(-1, 2)
        low, high = extent.min(axis=0), extent.max(axis=0)
        assert np.allclose((low + high) / 2, 0.5) and np.isclose((high - low).max(), 1)


def test_the_first_characters_do_not_depend_on_how_many_are_invented():
    few, many = glyph_strokes.invent_characters(3, 4), glyph_strokes.invent_characters(30, 4)
    for a, b in zip(few, many):
        assert np.array_equal(a, b[:3])
