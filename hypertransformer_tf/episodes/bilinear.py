"""Bilinear sampling of images at fractional rows and columns."""

import numpy as np


def sample_bilinear(planes: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Planes of images read at every pair of the given fractional rows and columns.

    Args:
      planes: (..., H, W), any real dtype.
      rows: (h,) float, each in 0, ..., H - 1; pixel centres are whole numbers.
      columns: (w,) float, each in 0, ..., W - 1.

    Returns:
      (..., h, w) float32.
    """
    above, below, row_part = _neighbours(rows, planes.shape[-2])
    left, right, column_part = _neighbours(columns, planes.shape[-1])
    read = _mix(planes[..., above, :], planes[..., below, :], row_part[:, None])  # (..., h, W)
    return _mix(read[..., left], read[..., right], column_part)  # (..., h, w)


def centres(start: int, size: int, count: int) -> np.ndarray:
    """Where the centres of `count` equal parts of the pixels start, ..., start + size - 1 lie.

    Centres that fall outside those of the first and the last pixel are moved onto them, so that
    nothing beyond the interval is read.

    Returns:
      (count,) float64 coordinates in which pixel centres are whole numbers.
    """
    middle = start + (np.arange(count) + 0.5) * (size / count) - 0.5
    return np.clip(middle, start, start + size - 1)


def _neighbours(positions: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before = np.floor(positions).astype(np.int64)
    return before, np.minimum(before + 1, size - 1), (positions - before).astype(np.float32)


def _mix(before: np.ndarray, after: np.ndarray, part: np.ndarray) -> np.ndarray:
    before = before.astype(np.float32, copy=False)
    return before + (after - before) * part
