"""Drawings as another pen and another camera would have them: thicker, framed otherwise, coarser.

What a model learns on one set of drawings holds for others only if it has seen strokes of other widths, drawings that
fill the picture, and few pixels. All arithmetic gives whole numbers that float32 holds exactly, in any order of
summing: the images are the same on every machine.
"""

from typing import NamedTuple

import numpy as np

from hypertransformer_tf.data.background import background_of
from hypertransformer_tf.episodes.random_stream import RandomStream

_OWN_PROBABILITY = 0.5  # that every picture of an episode has a pen and a frame of its own
_THICKENINGS = 3  # by 0, 1 or 2 pixels
_LONGER_SIDE = (0.6, 1.0)  # of the drawing, as a part of the picture's
_OFF_CENTRE = 0.05  # of the side, either way
_COARSENED_PROBABILITY = 0.5
_COARSEST = 0.25  # of the pixels along a side
_INK = 64  # grey levels away from the ground
_UNIT = 128  # a weight of 1: 255 * 128 * 128 is below 2 ** 24


class _Style(NamedTuple):
    """How N pictures are redrawn: float64 (N,) or (N, 2) for rows and columns."""

    thickening: np.ndarray
    longer_side: np.ndarray
    centre: np.ndarray


def redraw(images: np.ndarray, probability: float, episode: RandomStream, images_own: RandomStream) -> np.ndarray:
    """The pictures of a support set or a query set in the style of their episode.

    Strokes 0 to 2 pixels thicker; the drawing scaled, its proportions kept, to 0.6 to 1 of the picture and moved to its
    middle; in half of such episodes only 0.25 to 1 as many pixels along a side, scaled up again. In half of them every
    picture has a pen and a frame of its own.

    Args:
      images: (N, H, W, C) uint8, light drawings on dark ground or dark ones on light, all alike.
      probability: how often the pictures of an episode are redrawn.
      episode: decides what all pictures of the episode have in common.
      images_own: decides what is drawn for each picture of this set.

    Returns:
      Images of the same shape and dtype.
    """
    if not episode.child("redrawn").bernoulli(probability):
        return images
    light = background_of(images) == "light"
    drawings = 255 - images if light else images
    style = _style_of(len(images), episode, images_own)
    drawings = _framed(_thickened(drawings, style.thickening), style)
    if episode.child("coarsened").bernoulli(_COARSENED_PROBABILITY):
        drawings = _coarsened(drawings, float(episode.child("pixels").uniform_between(_COARSEST, 1.0)))
    return 255 - drawings if light else drawings


def _style_of(number: int, episode: RandomStream, images_own: RandomStream) -> _Style:
    own = bool(episode.child("own").bernoulli(_OWN_PROBABILITY))
    stream, count = (images_own, number) if own else (episode, 1)
    thickening = stream.child("thickening").integers(0, _THICKENINGS, (count,))
    longer_side = stream.child("longer_side").uniform_between(*_LONGER_SIDE, (count,))
    centre = stream.child("centre").uniform_between(0.5 - _OFF_CENTRE, 0.5 + _OFF_CENTRE, (count, 2))
    return _Style(*(np.repeat(each, number // count, axis=0) for each in (thickening, longer_side, centre)))


def _thickened(drawings: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The brightest of the pixel and its neighbours: of 2 x 2 for 1 pixel, 3 x 3 for 2."""
    thickened = drawings.copy()
    for count, steps in ((1, (1,)), (2, (1, -1))):
        chosen = np.flatnonzero(pixels == count)
        wider = drawings[chosen]
        for axis in (1, 2):
            narrow = wider
            for step in steps:
                wider = np.maximum(wider, _moved(narrow, step, axis))
        thickened[chosen] = wider
    return thickened


def _moved(images: np.ndarray, step: int, axis: int) -> np.ndarray:
    """Every image moved by a pixel, black where nothing comes from."""
    moved = np.roll(images, step, axis=axis)
    moved[(slice(None),) * axis + (0 if step > 0 else -1,)] = 0
    return moved


def _framed(drawings: np.ndarray, style: _Style) -> np.ndarray:
    """The drawing's box scaled and moved to where the style wants it, black around it."""
    ink = np.any(drawings >= _INK, axis=3)
    boxes = [_extent(np.any(ink, axis=axis)) for axis in (2, 1)]  # of rows, of columns: first pixels (N,), counts (N,)
    sides = np.array(drawings.shape[1:3])
    longest = np.maximum(boxes[0][1] / sides[0], boxes[1][1] / sides[1])
    scale = longest / style.longer_side  # pixels read for a pixel written
    weights = [
        _weights(first + (count - 1) / 2, scale, centre * side - 0.5, side)
        for (first, count), centre, side in zip(boxes, style.centre.T, sides)
    ]
    return _resampled(drawings, *weights)


def _extent(inked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in rows (N, size) of flags the set ones begin, and over how many places they reach; all of an empty row."""
    inked = inked | ~inked.any(axis=1, keepdims=True)
    first = inked.argmax(axis=1)
    return first, inked.shape[1] - inked[:, ::-1].argmax(axis=1) - first


def _weights(read: np.ndarray, scale: np.ndarray, written: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size) whole numbers: what each pixel read (last axis) is worth to each one written.

    A triangle as wide as a written pixel is in the picture read, at least two pixels.

    Args:
      read: (N,) the place in the picture read that becomes the place `written` (N,).
      scale: (N,) pixels read for a pixel written.
    """
    pixels = np.arange(size)
    places = read[:, None] + (pixels - written[:, None]) * scale[:, None]
    width = np.maximum(scale, 1.0)[:, None, None]
    distances = np.abs(places[:, :, None] - pixels) / width
    return np.rint(np.maximum(1 - distances, 0) * (_UNIT / width)).astype(np.float32)


def _resampled(drawings: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rows and columns of (N, H, W, C) mixed by weights (N or 1, h, H) and (N or 1, w, W): (N, h, w, C) uint8."""
    planes = drawings.transpose(0, 3, 1, 2).astype(np.float32)
    mixed = rows[:, None] @ planes @ columns[:, None].swapaxes(2, 3)
    levels = np.rint(np.minimum(mixed / _UNIT**2, 255))
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(0, 2, 3, 1))


def _coarsened(drawings: np.ndarray, part: float) -> np.ndarray:
    """The pictures with only `part` as many pixels along a side, scaled up again; the brightest as bright as before."""
    sides = drawings.shape[1:3]
    small = [max(1, round(part * side)) for side in sides]
    down = [_between(side, few) for side, few in zip(sides, small)]
    up = [_between(few, side) for side, few in zip(sides, small)]
    coarse = _resampled(_resampled(drawings, *down), *up)
    before, after = (images.max(axis=(1, 2, 3), keepdims=True).astype(np.int64) for images in (drawings, coarse))
    return (coarse * before // np.maximum(after, 1)).astype(np.uint8)


def _between(size: int, count: int) -> np.ndarray:
    """(1, count, size) weights that make `count` pixels of `size`, nothing read beyond the first and last centre."""
    scale = size / count
    places = np.clip((np.arange(count) + 0.5) * scale - 0.5, 0, size - 1)
    distances = np.abs(places[:, None] - np.arange(size)) / max(scale, 1.0)
    weights = np.maximum(1 - distances, 0)
    return np.rint(weights / weights.sum(axis=1, keepdims=True) * _UNIT).astype(np.float32)[None]
