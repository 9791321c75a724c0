"""Invented characters: the strokes of which each class of the embedded data set consists.

A stroke is a curve through five control points in a square of side 1. All arithmetic here and in
`glyph_drawing` is elementwise (+, -, *, /, sqrt, comparison), which IEEE 754 fixes to the last bit, and
all randomness comes from raw generator words; the same images therefore come out on every machine.
"""

import numpy as np

from hypertransformer_tf import philox

POINTS = 5  # control points of a stroke
MAX_STROKES = 4
_DRAWS_PER_STROKE = 16
_LATTICE = np.array([(x, y) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0)])
_ALONG = np.linspace(0, 1, POINTS)[:, None]
# Sideways offset of each control point from the chord, per unit of bend and of chord length.
_BOW = np.array([0, 0.75, 1, 0.75, 0])[:, None]
_WAVE = np.array([0, 1, 0, -1, 0])[:, None]


def uniforms(seed: int, stream: int, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 draws from [0, 1) of the given shape."""
    return philox.uniforms(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)), shape)


def invent_characters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes up characters of two to four strokes.

    Args:
      count: how many, K. The first K of a larger number are the same characters.
      seed: which characters.

    Returns:
      points: (K, MAX_STROKES, POINTS, 2) float64 control points (x, y), the character's extent set in the
        middle of the unit square.
      roundness: (K, MAX_STROKES) float64, 1 for curves and 0 for strokes with corners.
      present: (K, MAX_STROKES) bool, which strokes the character has.
    """
    draws = uniforms(seed, 0, (count, 1 + MAX_STROKES * _DRAWS_PER_STROKE))
    strokes = 2 + (draws[:, 0] > 0.35).astype(int) + (draws[:, 0] > 0.8)  # 2: 35%, 3: 45%, 4: 20%
    present = np.arange(MAX_STROKES) < strokes[:, None]
    points = np.zeros((count, MAX_STROKES, POINTS, 2))
    roundness = np.ones((count, MAX_STROKES))
    per_stroke = draws[:, 1:].reshape(count, MAX_STROKES, _DRAWS_PER_STROKE)
    for s in range(MAX_STROKES):
        points[:, s], roundness[:, s] = _invent_stroke(per_stroke[:, s], points[:, :s])
    return _centred(points, present), roundness, present


def _invent_stroke(u: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One stroke of each character: (K, _DRAWS_PER_STROKE), (K, s, POINTS, 2) -> (K, POINTS, 2), (K,)."""
    rows = np.arange(len(u))
    start = _LATTICE[(u[:, 0] * 9).astype(int)] + 0.2 * (u[:, 1:3] - 0.5)
    if earlier.shape[1]:
        # Two strokes in three begin on an earlier one, as in most scripts.
        touched = earlier.reshape(len(u), -1, 2)
        touched = touched[rows, (u[:, 3] * touched.shape[1]).astype(int)]
        start = np.where((u[:, 4] < 0.65)[:, None], touched, start)
    far_first = np.argsort(-_squared(_LATTICE - start[:, None]), axis=1, kind="stable")
    end = _LATTICE[far_first[rows, (u[:, 5] * 6).astype(int)]] + 0.2 * (u[:, 6:8] - 0.5)
    chord = (end - start)[:, None]
    normal = np.stack([-chord[..., 1], chord[..., 0]], axis=-1)
    straight = start[:, None] + _ALONG * chord  # (K, POINTS, 2)
    side = np.where(u[:, 8] < 0.5, -1.0, 1.0)[:, None, None]
    size = u[:, 9][:, None, None]
    shapes = (
        (0.35, straight + side * 0.12 * size * _BOW * normal),  # a line
        (0.65, straight + side * (0.3 + 0.4 * size) * _BOW * normal),  # an arc
        (0.75, straight + side * (0.25 + 0.15 * size) * _WAVE * normal),  # a wave
        (
            0.88,
            _corner(
                start,
                end,
                start[:, None] + (0.2 + 0.6 * size) * chord + side * (0.35 + 0.3 * u[:, 10, None, None]) * normal,
            ),
        ),
        (1.0, _loop(start, chord, normal, side * (0.35 + 0.3 * size))),
    )
    points = shapes[-1][1]
    for bound, candidate in reversed(shapes[:-1]):
        points = np.where((u[:, 11] < bound)[:, None, None], candidate, points)
    has_corner = (u[:, 11] >= 0.75) & (u[:, 11] < 0.88)
    return points, np.where(has_corner, 0.0, 1.0)


def _corner(start: np.ndarray, end: np.ndarray, tip: np.ndarray) -> np.ndarray:
    """Two straight parts that meet at `tip` (K, 1, 2)."""
    start, end = start[:, None], end[:, None]
    return np.concatenate([start, (start + tip) / 2, tip, (tip + end) / 2, end], axis=1)


def _loop(start: np.ndarray, chord: np.ndarray, normal: np.ndarray, width: np.ndarray) -> np.ndarray:
    """A closed oval from `start` round a centre on the chord."""
    start, radius = start[:, None], 0.35 * chord
    centre = start + radius
    return np.concatenate([start, centre + width * normal, centre + radius, centre - width * normal, start], axis=1)


def _centred(points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Moves and scales each character so that its longer side is 1 and its middle is (0.5, 0.5)."""
    there = present[:, :, None, None]
    low = np.where(there, points, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(there, points, -np.inf).max(axis=(1, 2), keepdims=True)
    side = (high - low).max(axis=3, keepdims=True)
    return (points - (low + high) / 2) / side + 0.5


def _squared(vectors: np.ndarray) -> np.ndarray:
    return vectors[..., 0] * vectors[..., 0] + vectors[..., 1] * vectors[..., 1]
