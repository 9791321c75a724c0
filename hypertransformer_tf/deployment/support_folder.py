"""The support set of a user: a folder with one sub-folder of pictures per class. Needs no TensorFlow."""

import dataclasses
import os
from typing import Callable, NamedTuple, Optional, Union

import numpy as np

from hypertransformer_tf.data.background import common_background
from hypertransformer_tf.deployment.picture_files import (
    any_colourful,
    entries,
    find_pictures,
    folded_name,
    read_pictures,
    shown,
)
from hypertransformer_tf.deployment.preprocessing import Preprocessing, should_invert
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.content_hash import file_sha256

NONE_OF_THESE = "none of these"
MOST_PICTURES = 2000  # attention looks at all pairs: more would take minutes and gigabytes
MIXED_GROUND = "Some pictures have light ground and some dark: make them alike, as all pictures of the model's were."
_UNLABELLED = -1

Report = Callable[[str], None]


class SupportFile(NamedTuple):
    """A picture that was read: its path below the folder, with '/', its SHA-256, its class ("" without one)."""

    file: str
    sha256: str
    class_name: str


@dataclasses.dataclass(frozen=True)
class SupportSet:
    """Pictures that a classifier is generated from.

    Attributes:
      images: (S, size, size, C) uint8 as `preprocessing` fits them, NOT inverted.
      labels: (S,) int32, an index into `class_names`; -1 for a picture without a class.
      class_names: in order of the names.
      files: one for each image.
      preprocessing: size, channels and whether to invert.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[SupportFile, ...]
    preprocessing: Preprocessing

    def model_images(self) -> np.ndarray:
        """(S, size, size, C) uint8 as the model takes them: inverted where that was decided."""
        return self.preprocessing.finish(self.images)


class _Pictures(NamedTuple):
    images: list[np.ndarray]
    files: list[SupportFile]


def read_support_folder(
    folder: Union[str, os.PathLike],
    image_size: int,
    channels: int,
    most_classes: int,
    background: Optional[str] = None,
    unlabelled: Optional[Union[str, os.PathLike]] = None,
    report: Report = lambda sentence: None,
) -> SupportSet:
    """Reads a folder with a sub-folder per class, 1 to many pictures in each.

    Args:
      folder: its sub-folders' names are the classes; files beside them are ignored.
      image_size, channels: of the model.
      most_classes: how many the model can tell apart.
      background: of the pictures the model was trained with, see `should_invert`.
      unlabelled: a folder of pictures of these classes without saying which; sub-folders count too.
      report: gets a sentence for each file that is no picture, one if colour is lost, and one if the model's pictures
        had the same ground and these have not.

    Raises:
      UserError: there is no folder, no sub-folder or only one, more classes than `most_classes`, a class that holds
        a folder or no readable picture, names that differ only in case, or too many pictures.
    """
    folder = os.fspath(folder)
    classes = _class_folders(folder, most_classes)
    files = [_files_of(path) for path in classes]
    more = _unlabelled_files(unlabelled)
    _check_number(sum(map(len, files)) + len(more))
    if channels == 1 and any_colourful([path for each in (*files, more) for path in each]):
        report("The model takes grey pictures: colour pictures are converted to grey.")
    preprocessing, names = Preprocessing(image_size, channels), tuple(os.path.basename(path) for path in classes)
    groups = [_read_class(folder, path, paths, preprocessing, report) for path, paths in zip(classes, files)]
    images = np.stack([image for group in groups for image in group.images])
    preprocessing = dataclasses.replace(preprocessing, invert=should_invert(images, background))
    if background is not None and common_background(images) is None:
        report(MIXED_GROUND)
    labels = np.repeat(np.arange(len(groups)), [len(group.images) for group in groups])
    extra = _read(more, os.fspath(unlabelled or ""), "", preprocessing, report)
    if extra.images:
        images = np.concatenate([images, np.stack(extra.images)])
        labels = np.concatenate([labels, np.full(len(extra.images), _UNLABELLED)])
    read = tuple(file for group in (*groups, extra) for file in group.files)
    return SupportSet(images, labels.astype(np.int32), names, read, preprocessing)


def _class_folders(folder: str, most_classes: int) -> list[str]:
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "does not exist"
        raise UserError(f"Support folder {shown(folder)} {what}: give a folder with a sub-folder for each class.")
    classes = [path for path in entries(folder) if os.path.isdir(path)]
    if not classes:
        raise UserError(
            f"Support folder {shown(folder)} has no sub-folders: put the pictures of each class into a sub-folder of "
            "its own."
        )
    names = [os.path.basename(path) for path in classes]
    if len(classes) == 1:
        raise UserError(
            f"Support folder {shown(folder)} has one class only, {shown(names[0])!r}: a classifier needs at least 2."
        )
    if len(classes) > most_classes:
        raise UserError(
            f"Support folder {shown(folder)} has {len(classes)} classes and the model tells at most {most_classes} "
            "apart: use fewer classes, or a model trained with more."
        )
    _check_names(folder, names)
    return classes


def _check_names(folder: str, names: list[str]) -> None:
    met: dict[str, str] = {}
    for name in names:
        other = met.setdefault(folded_name(name), name)
        if other != name:
            raise UserError(
                f"Support folder {shown(folder)} has the classes {shown(other)!r} and {shown(name)!r}, which differ "
                "only in case or accents' encoding: rename one, or put their pictures together."
            )
        if shown(name) != name:
            raise UserError(
                f"Class folder {shown(os.path.join(folder, name))!r} has control characters or undecodable bytes in "
                "its name: rename it."
            )
    if folded_name(NONE_OF_THESE) in met:
        name = met[folded_name(NONE_OF_THESE)]
        raise UserError(f"Class folder {name!r} is named as the answer for pictures of no class: rename it.")


def _files_of(class_folder: str) -> list[str]:
    paths = entries(class_folder)
    for path in paths:
        if os.path.isdir(path):
            raise UserError(
                f"Class folder {shown(class_folder)} holds the folder {shown(os.path.basename(path))!r}; pictures must "
                "lie directly in it."
            )
    if not paths:
        raise UserError(f"Class folder {shown(class_folder)} is empty; add pictures or remove it.")
    return paths


def _unlabelled_files(folder: Optional[Union[str, os.PathLike]]) -> list[str]:
    if folder is None:
        return []
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise UserError(f"Folder of unlabelled pictures {shown(folder)} does not exist or is a file: give a folder.")
    return find_pictures(folder)


def _check_number(count: int) -> None:
    if count > MOST_PICTURES:
        raise UserError(
            f"The support set has {count:,} files and at most {MOST_PICTURES:,} are read at once: take the most "
            "telling pictures of each class."
        )


def _read_class(folder: str, path: str, files: list[str], preprocessing: Preprocessing, report: Report) -> _Pictures:
    said: list[str] = []
    pictures = _read(files, folder, os.path.basename(path), preprocessing, said.append)
    if not pictures.images:
        more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
        raise UserError(f"Class {os.path.basename(path)!r} has no readable picture: {said[0].rstrip('.')}{more}.")
    for sentence in said:
        report(sentence)
    return pictures


def _read(files: list[str], root: str, class_name: str, preprocessing: Preprocessing, report: Report) -> _Pictures:
    pictures = _Pictures([], [])
    for picture in read_pictures(files, preprocessing):
        if picture.image is None:
            report(f"Skipped: {picture.error}")
            continue
        name = os.path.relpath(picture.path, root).replace(os.sep, "/")
        pictures.images.append(picture.image)
        pictures.files.append(SupportFile(shown(name), file_sha256(picture.path), class_name))
    return pictures
