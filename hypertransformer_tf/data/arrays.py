"""Images that are NumPy arrays already: `.npz`, `.npy`, or a folder of `.npy` files.

* `.npz` with `images` (N, H, W[, C]) and `labels` (N,), or with one array (n, H, W[, C]) per class.
* `.npy` (classes, samples, H, W[, C]), as the authors of the paper keep their sets.
* a folder of `.npy` files, each such an array or a list (object array) of (n, H, W[, C]), one per class.

Images are uint8 (0 black to 255 white) or bool (True = 255).
"""

import math
import os
import pathlib
import zipfile
import zlib
from typing import Union

import numpy as np

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.decoding import check_array, fit_array
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.npy_header import read_npy_header
from hypertransformer_tf.data.restricted_pickle import load_object_npy
from hypertransformer_tf.errors import UserError

# class name -> (n, H, W, C) uint8 or bool
_Classes = dict[str, np.ndarray]
_AT_ONCE = 256  # images converted together


def load_arrays(config: DataConfig) -> ImagesByClass:
    """Reads the file or folder that `config.source`, 'arrays:PATH', names.

    A `.npy` file of the wanted size and type is mapped where it lies; anything else is converted and cached.

    Returns:
      The set without a split of its classes.

    Raises:
      UserError: it is missing, damaged, of an unknown kind, or holds anything but images.
    """
    path = pathlib.Path(parse_source(config.source)[1]).expanduser()
    files = _files(path)
    if path.suffix == ".npy" and path.is_file():
        array = _load_npy(path)
        if isinstance(array, np.memmap) and _is_ready(_with_channels(array, 5, str(path)), config):
            return _mapped(path, _with_channels(array, 5, str(path)))
    depends_on = {
        "source": "arrays",
        "image_size": config.image_size,
        "channels": config.channels,
        "path": os.path.abspath(path),
        "files": describe_files(files),
    }
    return load_or_build(depends_on, lambda allocate: _convert(path, files, config, allocate))


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_dir():
        files = sorted(entry for entry in path.glob("*.npy") if not entry.name.startswith("."))
        if not files:
            raise UserError(
                f"{path} holds no .npy files; data.source = arrays:PATH needs a .npy file, a .npz file or a "
                "folder of .npy files."
            )
        return files
    if not path.is_file():
        raise UserError(f"data.source = arrays:{path}: there is no such file or folder.")
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"data.source = arrays:{path} must end in .npy or .npz, or be a folder of .npy files.")
    return [path]


def _is_ready(array: np.ndarray, config: DataConfig) -> bool:
    """Whether (classes, samples, H, W, C) can be used without touching it."""
    return (
        array.dtype == np.uint8
        and array.flags.c_contiguous
        and 0 not in array.shape
        and array.shape[2:] == (config.image_size, config.image_size, config.channels)
    )


def _mapped(path: pathlib.Path, array: np.ndarray) -> ImagesByClass:
    classes, samples = array.shape[:2]
    return ImagesByClass(
        name=path.stem,
        images=array.reshape(-1, *array.shape[2:]),
        offsets=offsets_of([samples] * classes),
        class_names=tuple(str(c) for c in range(classes)),
        splits={},
    )


def _convert(path: pathlib.Path, files: list[pathlib.Path], config: DataConfig, allocate: Allocate) -> ImagesByClass:
    classes: _Classes = {}
    for file in files:
        of_file = _classes_of_npz(file) if file.suffix == ".npz" else _classes_of_npy(file)
        prefix = f"{file.stem}:" if path.is_dir() else ""
        classes.update({prefix + name: array for name, array in of_file.items()})
    if not classes:
        raise UserError(f"{path} holds no classes.")
    for name, array in classes.items():
        check_array(array, f"Class {name} of {path}")
        if not len(array):
            raise UserError(f"Class {name} of {path} holds no images; add some or remove it.")
    offsets = offsets_of([len(array) for array in classes.values()])
    images = allocate((int(offsets[-1]), config.image_size, config.image_size, config.channels))
    for start, (name, array) in zip(offsets, classes.items()):
        for first in range(0, len(array), _AT_ONCE):
            part = fit_array(
                array[first : first + _AT_ONCE], f"Class {name} of {path}", config.image_size, config.channels
            )
            images[start + first : start + first + len(part)] = part
    return ImagesByClass(name=path.stem, images=images, offsets=offsets, class_names=tuple(classes), splits={})


def _classes_of_npz(path: pathlib.Path) -> _Classes:
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise UserError(f"{path} cannot be read as .npz ({_reason(error)}).") from error
    if not {"images", "labels"} & set(content):
        return {name: _with_channels(array, 4, f"{name} of {path}") for name, array in content.items()}
    missing = {"images", "labels"} - set(content)
    if missing:
        raise UserError(
            f"{path} holds {', '.join(content)} but not {missing.pop()}; images (N, H, W[, C]) go with labels (N,)."
        )
    images, labels = _with_channels(content["images"], 4, f"images of {path}"), content["labels"]
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels of {path} are {labels.dtype} of shape {labels.shape}; one whole number for each of the "
            f"{len(images)} images is needed, shape ({len(images)},)."
        )
    if len(labels) and labels.min() < 0:
        raise UserError(
            f"labels of {path} hold {labels.min()}; classes are numbered from 0 on: leave out images without a class."
        )
    return {str(label): images[labels == label] for label in np.unique(labels)}


def _classes_of_npy(path: pathlib.Path) -> _Classes:
    loaded = _load_npy(path)
    if loaded.dtype != object:
        array = _with_channels(loaded, 5, str(path))
        return {str(c): array[c] for c in range(len(array))}
    items = list(loaded) if loaded.ndim else loaded.item()
    if not isinstance(items, list):
        raise UserError(f"{path} holds a {type(items).__name__}; a list with one array of images per class is needed.")
    classes = {}
    for c, item in enumerate(items):
        if not isinstance(item, (np.ndarray, list)):
            raise UserError(f"Class {c} of {path} is a {type(item).__name__}; an array of images was expected.")
        classes[str(c)] = _with_channels(_stacked(item, path), 4, f"Class {c} of {path}")
    return classes


def _stacked(item: Union[np.ndarray, list], path: pathlib.Path) -> np.ndarray:
    """One class as an ordinary array; some writers keep a list of images, or uint8 values as objects."""
    try:
        plain = np.asarray(item.tolist() if isinstance(item, np.ndarray) and item.dtype == object else item)
    except ValueError as error:
        raise UserError(f"{path} holds a class whose images differ in shape; bring them to one size.") from error
    if isinstance(item, np.ndarray) and item.dtype == object and plain.dtype == np.int64:
        if plain.size and 0 <= plain.min() and plain.max() <= 255:
            return plain.astype(np.uint8)
    return plain


def _load_npy(path: pathlib.Path) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            shape, dtype = read_npy_header(file)
        if dtype.hasobject:
            return load_object_npy(path)
        if math.prod(shape) == 0:
            return np.empty(shape, dtype)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as .npy ({_reason(error)}).") from error


def _with_channels(array: np.ndarray, rank: int, where: str) -> np.ndarray:
    """Adds the channel axis that grey images may leave out."""
    if array.ndim == rank - 1:
        return array[..., None]
    if array.ndim != rank:
        needed = "(classes, samples, H, W[, C])" if rank == 5 else "(samples, H, W[, C])"
        raise UserError(f"{where} has the shape {array.shape}; {needed} is needed.")
    return array


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
