"""`data.json`: which classes a run trains on, validates and is measured on, so that a change of them is noticed."""

import hashlib
import json
import os
import pathlib
from typing import Any, Dict, List, Mapping, Optional, Union

from hypertransformer_tf.data.background import BACKGROUNDS, training_background
from hypertransformer_tf.data.images_by_class import SPLITS, ImagesByClass
from hypertransformer_tf.errors import UserError

FILE = "data.json"
DataRecord = Mapping[str, Any]
_SHOWN = 3


def describe_data(images: ImagesByClass) -> Dict[str, Any]:
    """Name, shape and background of the images, classes and counts of each split, and a checksum over their order.

    The background is for those who use the model; it makes no difference to whether a run may go on.
    """
    digest = hashlib.sha256(json.dumps([images.offsets.tolist(), list(images.class_names)]).encode())
    return {
        "name": images.name,
        "image_shape": list(images.image_shape),
        "background": training_background(images),
        "classes": {split: [images.class_names[c] for c in images.splits.get(split, ())] for split in SPLITS},
        "counts": {split: [images.count(int(c)) for c in images.splits.get(split, ())] for split in SPLITS},
        "sha256": digest.hexdigest(),
    }


def read_data_record(run_dir: Union[str, os.PathLike]) -> Optional[Dict[str, Any]]:
    """The data of the run in a folder, or None where none were noted. Raises UserError if the file is damaged."""
    file = pathlib.Path(run_dir) / FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        background = record.get("background")  # runs that were begun before it was noted have none
        if background not in BACKGROUNDS:
            raise ValueError(background)
        noted = {name: record[name] for name in ("name", "image_shape", "classes", "counts", "sha256")}
        return {**noted, "background": background}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UserError(f"{file} cannot be read: {reason}; restore it from a copy.") from None


def check_same_data(run_dir: Union[str, os.PathLike], now: DataRecord, remedy: str) -> None:
    """Compares the data of the run in a folder with those that were loaded; one without a record passes.

    Args:
      run_dir: the run's.
      now: of `describe_data`.
      remedy: what to do otherwise, the end of the sentence.

    Raises:
      UserError: they differ; the sentence says in what.
    """
    before = read_data_record(run_dir)
    changes = [] if before is None else data_changes(before, now)
    if changes:
        more = f" and {len(changes) - _SHOWN} more changes" if len(changes) > _SHOWN else ""
        said = ", ".join(changes[:_SHOWN])
        raise UserError(f"The data changed since the run in {run_dir} began: {said}{more}; {remedy}.")


def data_changes(before: DataRecord, now: DataRecord) -> List[str]:
    """In words, what differs between two sets of data; where they lie and what they are called makes no difference."""
    changes = []
    if list(before["image_shape"]) != list(now["image_shape"]):
        changes.append(f"images were {before['image_shape']} and are {now['image_shape']}")
    old, new = _by_class(before), _by_class(now)
    changes += [f"class {name!r} added to {split}" for name, (split, _) in new.items() if name not in old]
    changes += [f"class {name!r} is gone from {split}" for name, (split, _) in old.items() if name not in new]
    for name in (name for name in old if name in new):
        (old_split, old_count), (new_split, new_count) = old[name], new[name]
        if old_split != new_split:
            changes.append(f"class {name!r} moved from {old_split} to {new_split}")
        elif old_count != new_count:
            changes.append(f"class {name!r} had {old_count} images and has {new_count}")
    ordered = before["classes"] == now["classes"] and before["sha256"] == now["sha256"]
    return changes if changes or ordered else ["the order of its classes or images is another"]


def _by_class(record: DataRecord) -> Dict[str, Any]:
    return {
        name: (split, count)
        for split, names in record["classes"].items()
        for name, count in zip(names, record["counts"][split])
    }
