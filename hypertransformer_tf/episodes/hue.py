"""Rotation of the hue of colour images (the H of HSV), value and saturation kept."""

import numpy as np

_HUES_OF_RED_GREEN_BLUE = np.array([0, 2, 4], dtype=np.float32)[:, None, None]  # in sixths


def shift_hue(planes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The hue of each pixel moved by its image's shift, in turns of the colour circle.

    A channel lies between the pixel's smallest and largest one, by how far the hue is from the
    channel's own: up to a sixth of a turn it is the largest, from two sixths on the smallest.

    Args:
      planes: (N, 3, H, W) float32, red, green and blue of uint8 images: whole numbers.
      shifts: (N,) float64, in turns.

    Returns:
      (N, 3, H, W) float32, not rounded.
    """
    red, green, blue = planes[:, 0], planes[:, 1], planes[:, 2]
    largest, smallest = planes.max(axis=1), planes.min(axis=1)
    chroma = largest - smallest
    divisor = np.maximum(chroma, 1)  # changes grey pixels only: any hue does for those
    hue = np.where(
        largest == red,
        (green - blue) / divisor,
        np.where(largest == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )  # (N, H, W), sixths, from -1 to 5
    hue += (6 * (shifts - np.rint(shifts))).astype(np.float32)[:, None, None]
    distance = np.abs(hue[:, None] - _HUES_OF_RED_GREEN_BLUE)  # (N, 3, H, W), from 0 to 8
    np.minimum(distance, np.abs(distance - 6), out=distance)
    np.subtract(2, distance, out=distance)
    np.clip(distance, 0, 1, out=distance)
    distance *= chroma[:, None]
    distance += smallest[:, None]
    return distance
