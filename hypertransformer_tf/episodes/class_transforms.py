"""The general augmentations, one function each, on the images of several classes at once.

Every function takes uint8 images (G, M, H, W, C), G classes of M samples, and one parameter for
each class, and returns uint8 images of the same shape. All arithmetic is elementwise or a sum of whole
numbers, which IEEE 754 fixes to the last bit: the images are the same on every machine.
"""

import numpy as np

from hypertransformer_tf.episodes import bilinear, portable_functions

_LEVELS = np.arange(256)


def rotate_by_quarter_turns(images: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Each class rotated counter-clockwise by turns (G,) of 0, 1, 2 or 3 right angles; H = W."""
    size, channels = images.shape[2], images.shape[4]
    rotated = images.copy()
    for turn in (1, 2, 3):
        chosen = np.flatnonzero(turns == turn)
        if not len(chosen):
            continue
        turned = images[chosen]  # (g, M, H, H, C)
        if turn == 2:  # all pixels in reverse order: much faster along one axis than along two
            shape = turned.shape
            turned = turned.reshape(-1, size * size, channels)[:, ::-1].reshape(shape)
        elif turn == 1:
            turned = turned.swapaxes(2, 3)[:, :, ::-1]
        else:
            turned = turned.swapaxes(2, 3)[:, :, :, ::-1]
        rotated[chosen] = np.ascontiguousarray(turned)  # indexed writing is slow from strides
    return rotated


def mirror(images: np.ndarray) -> np.ndarray:
    """Each class mirrored left to right."""
    return np.ascontiguousarray(images[:, :, :, ::-1])


def rotate(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Each class rotated counter-clockwise by degrees (G,) about its centre.

    A pixel takes the value of the pixel nearest to where it came from, 0 from outside.
    """
    height, width = images.shape[2:4]
    y, x = np.mgrid[:height, :width]
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    rotated = np.empty_like(images)
    for index, angle in enumerate(degrees):
        sine, cosine = portable_functions.sine_and_cosine(float(angle))
        rows = np.rint(cosine * y + sine * x + (height - 1) / 2).astype(np.int64)
        columns = np.rint(cosine * x - sine * y + (width - 1) / 2).astype(np.int64)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        read = images[index][:, np.where(inside, rows, 0), np.where(inside, columns, 0)]
        rotated[index] = read * inside[:, :, None]
    return rotated


def roll(images: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Each class moved down and right by fractions (G, 2) of height and width, cyclically."""
    pixels = np.rint(fractions * images.shape[2:4]).astype(np.int64)
    return np.stack([np.roll(of_class, tuple(by), axis=(1, 2)) for of_class, by in zip(images, pixels)])


def shrink(images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Each class scaled by factors (G,) in (0, 1], bilinearly, in the middle of a black image."""
    height, width = images.shape[2:4]
    shrunk = np.zeros_like(images)
    for index, factor in enumerate(factors):
        h, w = max(1, round(factor * height)), max(1, round(factor * width))
        small = bilinear.sample_bilinear(
            images[index].transpose(0, 3, 1, 2), bilinear.centres(0, height, h), bilinear.centres(0, width, w)
        )  # (M, C, h, w)
        top, left = (height - h) // 2, (width - w) // 2
        shrunk[index, :, top : top + h, left : left + w] = np.rint(small).transpose(0, 2, 3, 1)
    return shrunk


def change_contrast(images: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """tanh((v - mean) * alpha) / alpha + mean of v = x / 128 - 1, stretched to 0..255.

    Args:
      images: (G, M, H, W, C) uint8; the mean is that of a channel of an image, as is the stretch.
      alphas: (G,), positive.
    """
    planes = images.transpose(0, 1, 4, 2, 3).reshape(*images.shape[:2], images.shape[4], -1)  # (G, M, C, H * W)
    mean = planes.sum(axis=3, dtype=np.int64, keepdims=True) / planes.shape[3]
    alpha = np.asarray(alphas)[:, None, None, None]
    # A table of what becomes of each grey level; dividing by alpha and adding the mean drop out of the stretch.
    table = portable_functions.tanh((_LEVELS - mean) / 128.0 * alpha)  # (G, M, C, 256)
    darkest, brightest = planes.min(axis=3, keepdims=True), planes.max(axis=3, keepdims=True)
    lowest, highest = np.take_along_axis(table, darkest, 3), np.take_along_axis(table, brightest, 3)
    table = _stretch(np.clip(table, lowest, highest), lowest, highest, unstretched=_LEVELS)
    changed = np.take_along_axis(table, planes, 3).reshape(*planes.shape[:3], *images.shape[2:4])
    return np.ascontiguousarray(changed.transpose(0, 1, 3, 4, 2))


def smooth(images: np.ndarray) -> np.ndarray:
    """The mean over 3x3 pixels, black outside the image, each channel stretched to 0..255."""
    height, width = images.shape[2:4]
    padded = np.pad(images.astype(np.int64), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :, :height] + padded[:, :, 1:-1] + padded[:, :, 2:]
    sums = rows[:, :, :, :width] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]
    lowest, highest = sums.min(axis=(2, 3), keepdims=True), sums.max(axis=(2, 3), keepdims=True)
    return _stretch(sums, lowest, highest, unstretched=images)


def negate(images: np.ndarray) -> np.ndarray:
    """255 - x."""
    return 255 - images


def _stretch(values: np.ndarray, lowest: np.ndarray, highest: np.ndarray, unstretched: np.ndarray) -> np.ndarray:
    """`values`, lowest <= values <= highest, as levels from 0 to 255; `unstretched` where the two are equal."""
    extent = highest - lowest
    stretched = np.rint((values - lowest) * 255.0 / np.where(extent > 0, extent, 1))
    return np.where(extent > 0, stretched, unstretched).astype(np.uint8)
