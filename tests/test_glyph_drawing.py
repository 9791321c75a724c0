"""Claims about writing characters by hand."""

import numpy as np

from hypertransformer_tf.data import glyph_drawing


def draw(curves, width, size):
    out = np.empty((1, size, size), np.uint8)
    glyph_drawing.ink(np.asarray(curves, float)[None], np.ones((1, len(curves)), bool), np.array([width]), out)
    return out[0]


def test_a_stroke_passes_through_its_control_points():
    points = np.random.default_rng(0).random((2, 3, 5, 2))
    for roundness in (0.0, 1.0):
        curves = glyph_drawing.trace(points, np.full((2, 3), roundness))
        assert curves.shape == (2, 3, 4 * glyph_drawing.PIECES + 1, 2)
        assert np.allclose(curves[:, :, :: glyph_drawing.PIECES], points)


def test_without_roundness_pieces_are_straight():
    points = np.random.default_rng(0).random((1, 1, 5, 2))
    curve = glyph_drawing.trace(points, np.zeros((1, 1)))[0, 0]
    between, a, b = curve[1], curve[0], curve[glyph_drawing.PIECES]
    cross = (between - a)[0] * (b - a)[1] - (between - a)[1] * (b - a)[0]
    assert abs(cross) < 1e-12


def test_ink_covers_what_a_slow_count_of_fine_points_says():
    curves = [[(0.2, 0.3), (0.8, 0.6)], [(0.5, 0.1), (0.4, 0.9)]]
    size, width, fine = 20, 0.15, 8
    grid = (np.arange(size * fine) + 0.5) / fine / size
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    inside = np.zeros(points.shape[:2], bool)
    for a, b in np.asarray(curves):
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        inside |= np.linalg.norm(points - a - t[..., None] * (b - a), axis=-1) < width / 2
    share = inside.reshape(size, fine, size, fine).mean(axis=(1, 3))
    difference = np.abs((255 - draw(curves, width, size)) / 255 - share)
    assert difference.max() < 0.25 and difference.mean() < 0.01


def test_strokes_that_are_not_there_leave_no_ink():
    curves = np.array([[[(0.2, 0.5), (0.8, 0.5)], [(0.5, 0.1), (0.5, 0.2)]]])
    one, two = np.empty((1, 20, 20), np.uint8), np.empty((1, 20, 20), np.uint8)
    glyph_drawing.ink(curves, np.array([[True, False]]), np.array([0.1]), one)
    glyph_drawing.ink(curves, np.array([[True, True]]), np.array([0.1]), two)
    assert np.all(one[0, :5] == 255) and two[0, :5].min() == 0


def test_with_all_draws_in_the_middle_a_character_is_only_scaled():
    points = np.random.default_rng(0).random((2, 4, 5, 2))
    written, width = glyph_drawing.write(points, np.full((2, glyph_drawing.draws_needed(4, 5)), 0.5))
    assert np.allclose(written - 0.5, 0.64 * (points - 0.5)) and np.allclose(width, 0.065)


def test_samples_differ_but_keep_the_shape():
    points = np.random.default_rng(0).random((1, 4, 5, 2)).repeat(200, axis=0)
    u = np.random.default_rng(1).random((200, glyph_drawing.draws_needed(4, 5)))
    written, width = glyph_drawing.write(points, u)
    assert np.all(written.std(axis=0) > 0.02)
    assert np.abs(written.mean(axis=0) - 0.5 - 0.64 * (points[0] - 0.5)).max() < 0.03
    assert 0.045 <= width.min() < width.max() <= 0.085
