"""What a visitor of the page collects: classes with their pictures, as a value. Needs no TensorFlow."""

from typing import Mapping, Sequence, Tuple

import numpy as np

from hypertransformer_tf.deployment.label_names import check_class_names
from hypertransformer_tf.deployment.picture_files import folded_name, shown
from hypertransformer_tf.deployment.support_folder import MOST_PICTURES
from hypertransformer_tf.errors import UserError

NamedClasses = Mapping[str, Tuple[np.ndarray, ...]]  # pictures (H, W, C) uint8, in the order they came


def add_class(classes: NamedClasses, name: str) -> NamedClasses:
    """The classes and one more, still without pictures; as they are if it is there already.

    Raises:
      UserError: the name is empty, not printable, or differs from another one only in case.
    """
    name = name.strip()
    if not name:
        raise UserError("The class has no name: type one first.")
    check_class_names([name])
    for other in classes:
        if other != name and folded_name(other) == folded_name(name):
            raise UserError(f"Classes {other!r} and {name!r} differ only in case: choose another name.")
    return dict(classes) if name in classes else {**classes, name: ()}


def add_pictures(classes: NamedClasses, name: str, pictures: Sequence[np.ndarray]) -> NamedClasses:
    """The classes with pictures (H, W, C) uint8 added to one of them, which is made if it is not there.

    Raises:
      UserError: as `add_class`, or these would be more pictures than are read at once.
    """
    classes = add_class(classes, name)
    total = sum(map(len, classes.values())) + len(pictures)
    if total > MOST_PICTURES:
        raise UserError(f"These would be {total:,} pictures and at most {MOST_PICTURES:,} can be used: take fewer.")
    return {**classes, name.strip(): (*classes[name.strip()], *pictures)}


def remove_class(classes: NamedClasses, name: str) -> NamedClasses:
    """The classes without one of them. Raises UserError: there is none of this name."""
    if name.strip() not in classes:
        raise UserError(f"There is no class {shown(name.strip())!r} to be removed: type the name of one that is there.")
    return {other: pictures for other, pictures in classes.items() if other != name.strip()}


def support_of(classes: NamedClasses, most_classes: int) -> Tuple[np.ndarray, list[str]]:
    """Pictures (N, H, W, C) uint8 and N labels to generate a classifier from.

    Args:
      classes: of one picture or more each.
      most_classes: how many the model tells apart.

    Raises:
      UserError: there are fewer than two classes or too many, or one has no picture.
    """
    if len(classes) < 2:
        there = f"one class only, {next(iter(classes))!r}" if classes else "no class yet"
        raise UserError(f"There is {there}: a classifier needs pictures of at least 2 classes.")
    if len(classes) > most_classes:
        raise UserError(
            f"There are {len(classes)} classes and the model tells at most {most_classes} apart: remove some."
        )
    for name, pictures in classes.items():
        if not pictures:
            raise UserError(f"Class {name!r} has no picture: draw or drop one into it, or remove the class.")
    labels = [name for name, pictures in classes.items() for _ in pictures]
    return np.stack([picture for pictures in classes.values() for picture in pictures]), labels
