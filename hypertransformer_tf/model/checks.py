"""Checks of what users hand to a model, before TensorFlow can fail on it in its own words.

Shapes and dtypes are checked always, values only where they are known: tensors inside a graph have none.
"""

from typing import Any, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.architecture import Shape
from hypertransformer_tf.cnn.run import FORMS
from hypertransformer_tf.cnn.weights import GeneratedWeights
from hypertransformer_tf.errors import UserError


def episode_images(name: str, images: Any, image_shape: Shape) -> Tuple[tf.Tensor, bool]:
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
        raise UserError(f"{name} are {dtype.name}: give uint8 from 0 to 255, or float32 scaled by x / 128 - 1.")
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


def single_episode(support_images: Any, done: str) -> None:
    """Refuses support images that are not those of a single episode, (S, H, W, C).

    Args:
      support_images: what was given.
      done: what is done with them, such as "kernels are shown".

    Raises:
      UserError: another number of axes.
    """
    if np.ndim(support_images) != 4:
        raise UserError(
            f"support_images have {np.ndim(support_images)} axes: {done} for one episode at a time, "
            "(samples, height, width, channels)."
        )


def support_labels(
    labels: Any, mask: Any, images: tf.Tensor, single: bool, n_way: Optional[int]
) -> Tuple[tf.Tensor, Optional[tf.Tensor]]:
    """Labels (T, S) int32 and mask (T, S) float32 or None, for images (T, S, H, W, C).

    Values are not checked where n_way is None: it is known to the graph only.

    Raises:
      UserError: labels or mask of another shape than the images, labels out of range, or a class without a labelled
        sample.
    """
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer:
        most = "n_way - 1" if n_way is None else n_way - 1
        raise UserError(f"support_labels are {labels.dtype.name}: give integers from 0 to {most}, -1 for no label.")
    labels = labels[tf.newaxis] if single else labels
    _same_samples("support_labels", labels, images)
    if mask is not None:
        mask = tf.convert_to_tensor(mask)
        if mask.dtype == tf.string:
            raise UserError("support_mask holds strings: give 1 for a sample to ignore and 0 for the others.")
        mask = tf.cast(mask, tf.float32)
        mask = mask[tf.newaxis] if single else mask
        _same_samples("support_mask", mask, images)
    if n_way is not None and hasattr(labels, "numpy") and (mask is None or hasattr(mask, "numpy")):
        _check_values(labels.numpy(), None if mask is None else mask.numpy(), n_way)
    return tf.cast(labels, tf.int32), mask


def classes_of_episode(n_way: Optional[int], most: int) -> None:
    """Refuses a number of classes that a model with `most` label embeddings cannot serve.

    Raises:
      UserError: naming both.
    """
    if n_way is not None and not 2 <= n_way <= most:
        raise UserError(f"n_way = {n_way}: this model tells 2 to {most} classes apart.")


def weights_of_episodes(weights: GeneratedWeights, images: tf.Tensor, single: bool) -> None:
    """Refuses weights that were not generated for the episodes of images (T, Q, H, W, C).

    Raises:
      UserError: another number of episodes, or one episode where the other is a task batch.
    """
    shape = weights.logits.bias.shape  # (n_way,) for one episode, (T, n_way) for a task batch
    if shape.rank is None:
        return
    given, expected = images.shape[0], shape[0] if shape.rank == 2 else None
    if single == (shape.rank == 1) and (single or given is None or expected is None or given == expected):
        return
    found = "one episode" if shape.rank == 1 else f"a task batch of {expected} episodes"
    raise UserError(
        f"the weights are of {found} and the query_images of {'one episode' if single else f'{given} episodes'}: "
        "give both for the same episodes."
    )


def model_arguments(image_shape: Sequence[int], n_way: int, convolution_form: str) -> Shape:
    """Refuses what no model can be made of; returns the image shape (H, W, C) as plain integers.

    Raises:
      UserError: naming the argument.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise UserError(f"image_shape = {tuple(image_shape)} is not right: give (height, width, channels).")
    if n_way < 2:
        raise UserError(f"n_way = {n_way} is not right: an episode has at least 2 classes.")
    if convolution_form not in FORMS:
        raise UserError(f"convolution_form = {convolution_form!r} is not known: use 'folded', 'plain' or 'grouped'.")
    height, width, channels = map(int, image_shape)
    return height, width, channels


def dtype_policy(policy: Any) -> None:
    """Refuses a Keras policy that computes in no precision of the library, or keeps variables in a lower one.

    Raises:
      UserError: naming the policy.
    """
    if policy.variable_dtype != "float32" or policy.compute_dtype not in ("float32", "bfloat16", "float16"):
        raise UserError(
            f"the dtype policy {policy.name!r} is not right: use 'float32', 'mixed_bfloat16' or 'mixed_float16'."
        )


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
    wrong = np.zeros(0) if mask is None else mask[(mask != 0) & (mask != 1)]
    if wrong.size:
        raise UserError(f"support_mask holds {wrong[0]}: give 1 for a sample to ignore and 0 for the others.")
    for episode, values in enumerate(labels):
        seen = values if mask is None else values[mask[episode] == 0]
        missing = sorted(set(range(n_way)) - set(seen.tolist()))
        if missing:
            raise UserError(
                f"class {missing[0]} has no labelled sample in the support set of episode {episode}: "
                f"give at least one for each of the {n_way} classes."
            )
