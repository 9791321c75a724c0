"""Labels of any type as the class names that stand in a classifier's directory, and back."""

from typing import Optional, Sequence

import numpy as np

from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.support_folder import NONE_OF_THESE
from hypertransformer_tf.errors import UserError

_NUMBERS = "iuf"


def type_of_labels(labels: np.ndarray) -> str:
    """What a card calls the labels' type: NumPy's name of a type of numbers or truth values, otherwise `str`."""
    return labels.dtype.name if labels.dtype.kind in _NUMBERS + "b" else "str"


def check_class_names(names: Sequence[str]) -> None:
    """Refuses names that would not come back from a file of one name a line, or mean something else there.

    Raises:
      UserError: a name is empty, has characters that cannot be printed, or is the answer for pictures of no class.
    """
    for name in names:
        if shown(name) != name or not name or name == NONE_OF_THESE:
            raise UserError(
                f"class {shown(name)!r} cannot be saved: its name is empty, not printable, or {NONE_OF_THESE!r}."
            )


def labels_of_names(names: Sequence[str], label_type: Optional[str]) -> np.ndarray:
    """Labels as they were, from class names: the inverse of `str`, given what `type_of_labels` said.

    Raises:
      UserError: a name is no such label.
    """
    try:
        kind = np.dtype(label_type or "str").kind
        if kind in _NUMBERS:
            return np.array(names).astype(label_type)
    except (TypeError, ValueError) as error:
        raise UserError(f"the classifier's classes are not of label_type {label_type!r}: {error}.") from error
    return np.array([name == "True" for name in names]) if kind == "b" else np.array(names)
