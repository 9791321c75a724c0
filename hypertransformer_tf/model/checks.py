"""Checks of what users hand to a model, before TensorFlow can fail on it in its own words.

Shapes and dtypes are checked always, values only where they are known: tensors inside a graph have none.
"""

from typing import Any, Optional, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf.errors import UserError


def episode_images(name: str, images: Any, image_shape: Tuple[int, int, int]) -> Tuple[tf.Tensor, bool]:
    """Images as (T, N, H, W, C), and whether a single episode was given.

    Raises:
      UserError: another rank, image shape or dtype than the model takes, or no image at all.
    """
    if not tf.is_tensor(images):
        images = np.asarray(images)
        if images.dtype == np.float64:
            images = images.astype(np.float32)
    dtype = tf.as_dtype(images.dtype)
    if dtype not in (tf.uint8, tf.float32, tf.float16, tf.bfloat16):
        raise UserError(
            f"{name} are {dtype.name}: give uint8 from 0 to 255, or float32 scaled by x / 128 - 1."
        )
    shape = tuple(images.shape)
    if len(shape) not in (4, 5) or shape[-3:] != tuple(image_shape):
        height, width, channels = image_shape
        raise UserError(
            f"{name} have shape {shape}: this model takes (samples, {height}, {width}, {channels}), "
            "or that with a leading axis for a task batch."
        )
    if 0 in shape:
        raise UserError(f"{name} are empty (shape {shape}): give at least one image.")
    images = tf.convert_to_tensor(images)
    return (images[tf.newaxis], True) if len(shape) == 4 else (images, False)


def support_labels(
    labels: Any, mask: Any, images: tf.Tensor, single: bool, n_way: int
) -> Tuple[tf.Tensor, Optional[tf.Tensor]]:
    """Labels (T, S) int32 and mask (T, S) float32 or None, for images (T, S, H, W, C).

    Raises:
      UserError: labels or mask of another shape than the images, labels out of range, or a class without a labelled
        sample.
    """
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer:
        raise UserError(f"support_labels are {labels.dtype.name}: give integers from 0 to {n_way - 1}, -1 for no label.")
    labels = tf.cast(labels, tf.int32)
    labels = labels[tf.newaxis] if single else labels
    _same_samples("support_labels", labels, images)
    if mask is not None:
        mask = tf.cast(tf.convert_to_tensor(mask), tf.float32)
        mask = mask[tf.newaxis] if single else mask
        _same_samples("support_mask", mask, images)
    if hasattr(labels, "numpy") and (mask is None or hasattr(mask, "numpy")):
        _check_values(labels.numpy(), None if mask is None else mask.numpy(), n_way)
    return labels, mask


def _same_samples(name: str, values: tf.Tensor, images: tf.Tensor) -> None:
    expected = images.shape[:2]
    if values.shape.rank != 2 or not values.shape.is_compatible_with(expected):
        raise UserError(
            f"{name} have shape {tuple(values.shape)} where the images have {tuple(expected)} (episodes, samples): "
            "give one value per image."
        )


def _check_values(labels: np.ndarray, mask: Optional[np.ndarray], n_way: int) -> None:
    wrong = labels[(labels < -1) | (labels >= n_way)]
    if wrong.size:
        raise UserError(
            f"support_labels hold {int(wrong[0])}: labels go from 0 to {n_way - 1} for this {n_way}-way model, "
            "and -1 means no label."
        )
    for episode, values in enumerate(labels):
        seen = values if mask is None else values[mask[episode] == 0]
        missing = sorted(set(range(n_way)) - set(seen.tolist()))
        if missing:
            raise UserError(
                f"class {missing[0]} has no labelled sample in the support set of episode {episode}: "
                f"give at least one for each of the {n_way} classes."
            )
