"""Drawings and dropped files as pictures of the model's size. Needs neither TensorFlow nor Gradio."""

import os
from typing import Any, Mapping, Optional, Sequence

import numpy as np
from PIL import Image

from hypertransformer_tf.deployment.picture_files import read_pictures
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

_FAINTEST = 8  # of 255: how much darker than paper a stroke is at least


def picture_of_sketch(sketch: Optional[Mapping[str, Any]], preprocessing: Preprocessing) -> Optional[np.ndarray]:
    """What was drawn, on white paper.

    Args:
      sketch: of Gradio's sketch pad: "composite" is (H, W, 4) uint8, transparent where nothing is drawn; or None.
      preprocessing: size and channels of the result.

    Returns:
      (size, size, channels) uint8; None for an empty pad.
    """
    composite = None if sketch is None else sketch.get("composite")
    if composite is None:
        return None
    drawn = Image.fromarray(np.asarray(composite, np.uint8)).convert("RGBA")
    paper = Image.new("RGBA", drawn.size, "white")
    pixels = np.asarray(Image.alpha_composite(paper, drawn).convert("RGB"))
    if pixels.min() > 255 - _FAINTEST:
        return None
    return preprocessing.fit(pixels, "the drawing")


def pictures_of_files(paths: Optional[Sequence[str]], preprocessing: Preprocessing) -> list[np.ndarray]:
    """Picture files as (size, size, channels) uint8 each, in their order.

    Raises:
      UserError: a file is no picture; it is called by its name, without its folder.
    """
    pictures = []
    for picture in read_pictures(list(paths or ()), preprocessing):
        if picture.image is None:
            folder = os.path.dirname(picture.path) + os.sep
            raise UserError(str(picture.error).replace(folder, ""))
        pictures.append(picture.image)
    return pictures
