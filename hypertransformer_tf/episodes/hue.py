"""Rotation of the hue of colour images (the H of HSV), value and saturation kept."""

import numpy as np

_HUES_OF_RED_GREEN_BLUE = np.array([0, 2, 4], dtype=np.float32)[:, None, None]  # in sixths


def shift_hue(planes: np.ndarray, shift: float) -> np.ndarray:
    """The hue of each pixel moved by `shift` turns of the colour circle.

    A channel lies between the pixel's smallest and largest one, by how far the hue is from the
    channel's own: up to a sixth of a turn it is the largest, from two sixths on the smallest.

    Args:
      planes: (3, H, W) float32, red, green and blue of a uint8 image: whole numbers.
      shift: in turns.

    Returns:
      (3, H, W) float32, not rounded.
    """
    red, green, blue = planes
    largest, smallest = planes.max(axis=0), planes.min(axis=0)
    chroma = largest - smallest
    divisor = np.maximum(chroma, 1)  # changes grey pixels only: any hue does for those
    hue = np.where(
        largest == red,
        (green - blue) / divisor,
        np.where(largest == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )  # (H, W), sixths, from -1 to 5
    hue += np.float32(6 * (shift - round(shift)))
    distance = np.abs(hue - _HUES_OF_RED_GREEN_BLUE)  # (3, H, W), from 0 to 8
    distance = np.minimum(distance, np.abs(distance - 6))
    return smallest + chroma * np.clip(2 - distance, 0, 1)
