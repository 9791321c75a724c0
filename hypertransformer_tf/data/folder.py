"""A folder of pictures: one sub-folder per class, or train, validation (val) and test of such folders."""

import concurrent.futures
import os
import pathlib
from typing import Optional

import numpy as np

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.data.images_by_class import SPLITS, ImagesByClass, offsets_of
from hypertransformer_tf.errors import UserError

_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_DESKTOP_FILES = ("thumbs.db", "desktop.ini", "__macosx")
_THREADS = 4

# (split or None, class folder, its pictures in order)
_ClassFolder = tuple[Optional[str], pathlib.Path, list[pathlib.Path]]


def load_folder(config: DataConfig) -> ImagesByClass:
    """Reads the folder that `config.source`, 'folder:PATH', names.

    Classes and pictures are in the order of their names; hidden files are ignored. Any picture format, size
    and mode that Pillow reads will do, see `decoding`.

    Returns:
      The set; its classes are split only where the folder holds train, validation (val) and test.

    Raises:
      UserError: there is no such folder, it has no class folders, one of them is empty or holds something else
        than pictures, or a class is in two splits.
    """
    root = pathlib.Path(parse_source(config.source)[1]).expanduser()
    classes = _find_classes(root)
    depends_on = {
        "source": "folder",
        "image_size": config.image_size,
        "channels": config.channels,
        "classes": [[split, describe_files(files)] for split, _, files in classes],
        "root": os.path.abspath(root),
    }
    return load_or_build(depends_on, lambda allocate: _read(root, classes, config, allocate))


def _read(root: pathlib.Path, classes: list[_ClassFolder], config: DataConfig, allocate: Allocate) -> ImagesByClass:
    offsets = offsets_of([len(files) for _, _, files in classes])
    images = allocate((int(offsets[-1]), config.image_size, config.image_size, config.channels))
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for start, (_, _, files) in zip(offsets, classes):
            decoded = pool.map(lambda path: decode_image(path, str(path), config.image_size, config.channels), files)
            for place, image in enumerate(decoded, int(start)):
                images[place] = image
    splits = {}
    if classes[0][0] is not None:
        splits = {
            name: np.array([c for c, (split, _, _) in enumerate(classes) if split == name], dtype=np.int64)
            for name in SPLITS
        }
    return ImagesByClass(
        name=root.resolve().name,
        images=images,
        offsets=offsets,
        class_names=tuple(folder.name for _, folder, _ in classes),
        splits=splits,
    )


def _find_classes(root: pathlib.Path) -> list[_ClassFolder]:
    if not root.is_dir():
        raise UserError(f"data.source = folder:{root}: there is no such folder.")
    folders = [path for path in _visible(root) if path.is_dir()]
    if not folders:
        raise UserError(f"{root} has no class folders; put the pictures of each class into a sub-folder of its own.")
    names = {folder.name.lower() for folder in folders}
    if "train" in names and names <= set(_SPLIT_FOLDERS):
        return _classes_of_splits(root, folders)
    return [(None, folder, _pictures(folder)) for folder in folders]


def _classes_of_splits(root: pathlib.Path, folders: list[pathlib.Path]) -> list[_ClassFolder]:
    by_split = {_SPLIT_FOLDERS[folder.name.lower()]: folder for folder in folders}
    if len(by_split) < len(folders):
        raise UserError(
            f"{root} holds two folders for the same split ({', '.join(f.name for f in folders)}); keep one."
        )
    classes: list[_ClassFolder] = []
    met: dict[str, str] = {}
    for split in (name for name in SPLITS if name in by_split):
        class_folders = [path for path in _visible(by_split[split]) if path.is_dir()]
        if not class_folders:
            raise UserError(
                f"{by_split[split]} has no class folders; put the pictures of each class into a sub-folder of its own."
            )
        for folder in class_folders:
            if folder.name in met:
                raise UserError(
                    f"Class {folder.name!r} is in both {met[folder.name]} and {split} of {root}; few-shot splits "
                    "hold different classes, so keep all pictures of a class in one of them."
                )
            met[folder.name] = split
            classes.append((split, folder, _pictures(folder)))
    return classes


def _pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    files = _visible(folder)
    if not files:
        raise UserError(f"Class folder {folder} is empty; add pictures or remove it.")
    for path in files:
        if path.is_dir():
            raise UserError(f"Class folder {folder} holds the folder {path.name}; pictures must lie directly in it.")
        if not path.exists():
            raise UserError(f"{path} is a link to a file that does not exist; repair or remove it.")
    return files


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
    """Entries in the order of their names, without hidden ones and what desktops leave behind."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}).") from error
    return [folder / name for name in names if not name.startswith(".") and name.lower() not in _DESKTOP_FILES]
