"""The embedded data set: characters of no script, written by no hand, drawn when first asked for.

It stands in for Omniglot wherever nothing may be downloaded: first steps, tests, benchmarks. Classes are
easy for a person and hard for a comparison of pixels.
"""

from typing import Optional

import numpy as np

from hypertransformer_tf.data import glyph_drawing, glyph_strokes
from hypertransformer_tf.data.cache import Allocate, load_or_build
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass, blank_set, offsets_of

NUM_CLASSES = 400
SAMPLES_PER_CLASS = 20
SEED = 2022
_VERSION = 1  # of the drawing; another number makes cached sets be drawn anew
_LEAST_DIFFERENCE = 0.15  # share of the ink that two characters must not have in common
_GRID = 16  # pixels on which characters are compared
_COMPARED_WIDTHS = (0.07, 0.21)  # pen widths, as shares of the picture's side


def load_glyphs(config: DataConfig) -> ImagesByClass:
    """400 classes of 20 images; only `config.image_size` and `config.channels` matter."""
    depends_on = {
        "source": "glyphs",
        "version": _VERSION,
        "classes": NUM_CLASSES,
        "samples": SAMPLES_PER_CLASS,
        "image_size": config.image_size,
        "channels": config.channels,
    }
    return load_or_build(
        depends_on,
        lambda allocate: draw_glyphs(
            NUM_CLASSES, SAMPLES_PER_CLASS, config.image_size, config.channels, SEED, allocate
        ),
    )


def outline_of_glyphs(config: DataConfig) -> ImagesByClass:
    """The same set with blank images: nothing has to be drawn for it."""
    shape = (config.image_size, config.image_size, config.channels)
    return blank_set("glyphs", _class_names(NUM_CLASSES), SAMPLES_PER_CLASS, shape)


def draw_glyphs(
    num_classes: int,
    samples: int,
    image_size: int = 28,
    channels: int = 1,
    seed: int = SEED,
    allocate: Optional[Allocate] = None,
) -> ImagesByClass:
    """Draws an invented script.

    Args:
      num_classes: how many characters.
      samples: how many images of each.
      image_size: height and width in pixels.
      channels: 1, or 3 for the same grey three times.
      seed: which script, from 0; equal arguments give equal images on every machine.
      allocate: where to put the images; unset means an ordinary array.

    Returns:
      The set without a split of its classes.
    """
    points, roundness, present = _distinct_characters(num_classes, seed)
    shape = (num_classes * samples, image_size, image_size, channels)
    images = np.empty(shape, dtype=np.uint8) if allocate is None else allocate(shape)
    grey = np.empty((samples, image_size, image_size), dtype=np.uint8)
    for c in range(num_classes):
        # Stream 0 invents the characters; each class has a stream of its own for its samples.
        draws = glyph_strokes.uniforms(seed, 1 + c, (samples, glyph_drawing.draws_needed(*points.shape[1:3])))
        same, round_, there = (np.repeat(part[c : c + 1], samples, axis=0) for part in (points, roundness, present))
        written, width = glyph_drawing.write(same, draws)
        glyph_drawing.ink(glyph_drawing.trace(written, round_), there, width, grey)
        images[c * samples : (c + 1) * samples] = grey[..., None]
    return ImagesByClass(
        name="glyphs",
        images=images,
        offsets=offsets_of([samples] * num_classes),
        class_names=_class_names(num_classes),
        splits={},
    )


def _class_names(count: int) -> tuple[str, ...]:
    return tuple(f"glyph_{c:04d}" for c in range(count))


def _distinct_characters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Invents more characters than needed and leaves out those that look like an earlier one."""
    candidates = 4 * count + 40
    points, roundness, present = glyph_strokes.invent_characters(candidates, seed)
    difference = _differences(glyph_drawing.trace(points * 0.8 + 0.1, roundness), present)
    chosen: list[int] = []
    for c in range(candidates):
        if len(chosen) < count and all(difference[c, chosen] >= _LEAST_DIFFERENCE):
            chosen.append(c)
    # A script too large for that many distinct characters is filled up with what was left out.
    chosen += [c for c in range(candidates) if c not in set(chosen)][: count - len(chosen)]
    return points[chosen], roundness[chosen], present[chosen]


def _differences(curves: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(K, K) share of one character's ink off the other's drawn with a wide pen; the larger of both ways."""
    thin, wide = (_is_ink(curves, present, width) for width in _COMPARED_WIDTHS)
    off = thin @ (1 - wide.T) / thin.sum(axis=1, keepdims=True)  # integers up to here: exact sums
    return np.maximum(off, off.T)


def _is_ink(curves: np.ndarray, present: np.ndarray, width: float) -> np.ndarray:
    """(K, S, L, 2) -> (K, _GRID * _GRID) int64, 1 where the pen went."""
    paper = np.empty((len(curves), _GRID, _GRID), dtype=np.uint8)
    glyph_drawing.ink(curves, present, np.full(len(curves), width), paper)
    return (paper < 128).reshape(len(curves), -1).astype(np.int64)
