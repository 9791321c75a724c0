"""Writing an invented character by hand: variation from sample to sample, and ink on paper.

White paper (255), black strokes (0), as in Omniglot. See `glyph_strokes` for why all arithmetic is elementwise.
"""

import numpy as np

PIECES = 3  # straight pieces between two control points
_AT_ONCE = 64  # images drawn together; keeps the distance fields in the processor's cache


def write(points: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Varies characters as a hand does.

    Every control point and every stroke is off by a little; the whole is warped smoothly, stretched, slanted,
    turned by up to 15 degrees, scaled and moved; and the pen changes.

    Args:
      points: (K, S, P, 2) control points in the unit square.
      u: (K, draws_needed(S, P)) uniforms.

    Returns:
      (K, S, P, 2) control points of one written sample each, and (K,) the width of the pen.
    """
    count, strokes, per_stroke, _ = points.shape
    whole, warp, of_stroke, of_point = np.split(u, np.cumsum(_draws(strokes, per_stroke))[:-1], axis=1)
    p = points - 0.5 + 0.06 * _bell(of_point.reshape(count, strokes, per_stroke, 2, 2))
    p = p + 0.05 * (2 * of_stroke - 1).reshape(count, strokes, 1, 2)
    p = _warped(p, 0.14 * (2 * warp - 1).reshape(count, 3, 3, 2))
    turn, stretch_x, stretch_y, slant, scale, right, down = (2 * whole[:, i, None, None] - 1 for i in range(7))
    half = 0.13 * turn  # tangent of half the angle
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    x, y = p[..., 0] * (1 + 0.22 * stretch_x), p[..., 1] * (1 + 0.22 * stretch_y)
    x = x + 0.25 * slant * y
    x, y = cosine * x - sine * y, sine * x + cosine * y
    scale = 0.64 + 0.12 * scale
    written = np.stack([0.5 + scale * x + 0.08 * right, 0.5 + scale * y + 0.08 * down], axis=-1)
    return written, 0.045 + 0.04 * whole[:, 7]


def draws_needed(strokes: int, per_stroke: int) -> int:
    """Uniforms that `write` uses for one sample."""
    return sum(_draws(strokes, per_stroke))


def _draws(strokes: int, per_stroke: int) -> tuple[int, int, int, int]:
    """Uniforms for the whole, the 3 x 3 warp, each stroke and (two for a bell curve) each point."""
    return 8, 3 * 3 * 2, strokes * 2, strokes * per_stroke * 2 * 2


def trace(points: np.ndarray, roundness: np.ndarray) -> np.ndarray:
    """Curves through control points (cubic, cardinal).

    Args:
      points: (K, S, P, 2) control points.
      roundness: (K, S) 1 for a smooth curve, 0 for straight pieces from point to point.

    Returns:
      (K, S, (P - 1) * PIECES + 1, 2) points along each stroke.
    """
    tangents = np.empty_like(points)
    tangents[:, :, 1:-1] = (points[:, :, 2:] - points[:, :, :-2]) / 2
    tangents[:, :, 0] = points[:, :, 1] - points[:, :, 0]
    tangents[:, :, -1] = points[:, :, -1] - points[:, :, -2]
    tangents = tangents * roundness[:, :, None, None]
    t = (np.arange(PIECES) / PIECES)[:, None]
    p, q = points[:, :, :-1, None], points[:, :, 1:, None]
    v, w = tangents[:, :, :-1, None], tangents[:, :, 1:, None]
    blend = t * t * (3 - 2 * t)
    curve = p + blend * (q - p) + t * (1 - t) * ((1 - t) * v - t * w)  # (K, S, P - 1, PIECES, 2)
    count, strokes = points.shape[:2]
    return np.concatenate([curve.reshape(count, strokes, -1, 2), points[:, :, -1:]], axis=2)


def ink(curves: np.ndarray, present: np.ndarray, width: np.ndarray, out: np.ndarray) -> None:
    """Draws antialiased strokes of a round pen.

    Args:
      curves: (K, S, L, 2) points along each stroke, the picture being the unit square.
      present: (K, S) which strokes there are.
      width: (K,) pen width as a share of the picture's side.
      out: (K, H, H) uint8, filled with 255 (paper) to 0 (ink).
    """
    size = out.shape[1]
    for first in range(0, len(out), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        # A stroke that is not there repeats the first, which changes nothing.
        strokes = np.where(present[part, :, None, None], curves[part], curves[part, :1])
        distance = np.sqrt(_squared_distance(strokes.astype(np.float32) * np.float32(size), size))
        radius = (width[part] * size / 2).astype(np.float32)[:, None, None]
        cover = np.clip(radius + np.float32(0.5) - distance, 0, 1)
        out[part] = (np.float32(255) * (1 - cover) + np.float32(0.5)).astype(np.uint8)


def _squared_distance(strokes: np.ndarray, size: int) -> np.ndarray:
    """(k, S, L, 2) float32 in pixels -> (k, size, size) squared distance to the nearest stroke."""
    count = len(strokes)
    centre = np.arange(size, dtype=np.float32) + np.float32(0.5)
    nearest = np.full((count, size, size), np.inf, dtype=np.float32)
    begins = strokes[:, :, :-1].reshape(count, -1, 2)
    steps = strokes[:, :, 1:].reshape(count, -1, 2) - begins
    for s in range(begins.shape[1]):
        bx, by, dx, dy = (v[:, s, i, None, None] for v in (begins, steps) for i in (0, 1))
        length = np.maximum(dx * dx + dy * dy, np.float32(1e-6))
        x, y = centre[None, None, :] - bx, centre[None, :, None] - by  # (k, 1, size), (k, size, 1)
        along = np.clip(x * (dx / length) + y * (dy / length), 0, 1)
        off_x, off_y = x - along * dx, y - along * dy
        np.minimum(nearest, off_x * off_x + off_y * off_y, out=nearest)
    return nearest


def _bell(u: np.ndarray) -> np.ndarray:
    """(..., 2) uniforms -> (...) triangular draws from (-1, 1)."""
    return u[..., 0] + u[..., 1] - 1


def _warped(p: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Adds to each point a displacement interpolated from (K, 3, 3, 2) values by quadratic B-splines."""
    x, y = np.clip(p[..., 0] + 0.5, 0, 1), np.clip(p[..., 1] + 0.5, 0, 1)
    moved = p
    for row, weight_y in enumerate(_bernstein(y)):
        for column, weight_x in enumerate(_bernstein(x)):
            moved = moved + (weight_y * weight_x)[..., None] * lattice[:, None, None, row, column]
    return moved


def _bernstein(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (1 - t) * (1 - t), 2 * t * (1 - t), t * t
