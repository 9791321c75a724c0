"""Whether drawings are dark on light ground or light on dark: what their borders look like."""

from typing import Optional

import numpy as np

from hypertransformer_tf.data.images_by_class import ImagesByClass

BACKGROUNDS = (None, "light", "dark")
_LOOKED_AT = 2000  # images
_ALIKE = 0.95  # of them at least: photographs differ more


def background_of(images: np.ndarray) -> str:
    """'light' or 'dark': the median brightness of the border pixels of all of (N, H, W, C) uint8."""
    return "light" if np.median(_borders(images)) > 127 else "dark"


def training_background(images: ImagesByClass) -> Optional[str]:
    """The background that the images of the meta-training classes have in common, judged by some of all classes.

    Returns:
      'light' or 'dark'; None for colour pictures and vectors, which have no paper, and for pictures that differ.
    """
    classes = images.splits["train"]
    if not images.are_pictures or images.image_shape[-1] != 1 or not len(classes):
        return None
    places = np.concatenate([np.arange(images.offsets[each], images.offsets[each + 1]) for each in classes])
    chosen = places[:: -(-len(places) // _LOOKED_AT) or 1]
    if not len(chosen):
        return None
    return common_background(images.images[chosen])


def common_background(images: np.ndarray) -> Optional[str]:
    """'light' or 'dark', which nearly all of some grey pictures (N, H, W, 1) uint8 have; None where they differ."""
    light = np.mean(has_light_background(images))
    return "light" if light >= _ALIKE else "dark" if light <= 1 - _ALIKE else None


def has_light_background(images: np.ndarray) -> np.ndarray:
    """(N,) bool: whether the median brightness of the border of each of (N, H, W, C) uint8 is in the upper half."""
    return np.median(_borders(images), axis=1) > 127


def _borders(images: np.ndarray) -> np.ndarray:
    """(N, border values): the outermost pixels of each image."""
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    return np.concatenate([edge.reshape(len(images), -1) for edge in edges], axis=1)
