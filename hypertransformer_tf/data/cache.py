"""Decoded image sets kept on disk, so that a set is decoded once and memory-mapped from then on.

A set is two files in $HT_CACHE_DIR (or ~/.cache/hypertransformer_tf): KEY.npy, the images, and
KEY.json, the rest. KEY is a hash of everything the result depends on. Files are written beside their
final name and renamed, so that two processes may build the same set at once. Nothing here is ever an
error for the user: where the folder cannot be written the set is built in memory, and one that is damaged or of
another version is built again, with a warning.
"""

import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
import time
import zlib
from typing import Any, Callable, Mapping, Optional, Protocol

import numpy as np

from hypertransformer_tf.data.images_by_class import ImagesByClass

FORMAT_VERSION = 1  # to be raised whenever the files, or what decoding makes of a picture, change
_ABANDONED_AFTER = 24 * 3600  # seconds; an unfinished file this old belongs to a process that died
_BLOCK = 1 << 20  # bytes
_CHECKED_BLOCKS = 256


class Allocate(Protocol):
    """Gives a reader a writable array of a shape, which it fills with its images."""

    def __call__(self, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray: ...


def cache_directory() -> pathlib.Path:
    """Where decoded sets are kept."""
    return pathlib.Path(os.environ.get("HT_CACHE_DIR") or "~/.cache/hypertransformer_tf").expanduser()


def describe_files(paths: list[pathlib.Path]) -> list[list[Any]]:
    """[path, size in bytes, modification time in ns] of each file: what a cached set depends on."""
    states = [(path, path.stat()) for path in paths]
    return [[os.path.abspath(path), state.st_size, state.st_mtime_ns] for path, state in states]


def load_or_build(depends_on: Mapping[str, Any], build: Callable[[Allocate], ImagesByClass]) -> ImagesByClass:
    """Returns the cached set, or builds it and keeps it.

    Args:
      depends_on: everything the result depends on; JSON types only.
      build: reads the set; it takes the memory for its images from the `Allocate` it is given.

    Returns:
      The set, its images read-only and memory-mapped where the cache could be used.
    """
    text = json.dumps(depends_on, sort_keys=True)
    base = cache_directory() / hashlib.sha256(text.encode()).hexdigest()[:32]
    cached = _load(base)
    if cached is not None:
        return cached
    store = _Store(base)
    try:
        built = build(store.allocate)
        return store.keep(built)
    finally:
        store.discard_unfinished()


class _Store:
    """The file that a set is built in, until it gets its final name."""

    def __init__(self, base: pathlib.Path):
        self._base = base
        self._unfinished: Optional[str] = None
        self._images: Optional[np.memmap] = None

    def allocate(self, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
        """Memory for the images: in a file of the cache folder, or in RAM where that is impossible."""
        try:
            self._base.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self._base.parent)
            # Writing to a mapped file on a full disk would kill the process, so space is asked for first.
            size = np.prod(shape, dtype=float) * np.dtype(dtype).itemsize
            if size == 0 or shutil.disk_usage(self._base.parent).free < 1.05 * size + _BLOCK:
                return np.empty(shape, dtype)
            handle, self._unfinished = tempfile.mkstemp(".unfinished", self._base.name + ".", self._base.parent)
            os.close(handle)
            self._images = np.lib.format.open_memmap(self._unfinished, mode="w+", dtype=dtype, shape=shape)
            return self._images
        except OSError:
            return np.empty(shape, dtype)

    def keep(self, built: ImagesByClass) -> ImagesByClass:
        """Gives the files their final names and maps them; returns `built` where that fails."""
        if self._images is None or self._unfinished is None or built.images is not self._images:
            return built
        self._images.flush()
        content = {
            "format": FORMAT_VERSION,
            "name": built.name,
            "shape": list(built.images.shape),
            "offsets": built.offsets.tolist(),
            "class_names": list(built.class_names),
            "splits": {name: classes.tolist() for name, classes in built.splits.items()},
            "checksum": _checksum(self._unfinished),
        }
        try:
            os.replace(self._unfinished, _images_file(self._base))
            self._unfinished = None
            _write_renamed(_content_file(self._base), json.dumps(content))
        except OSError:
            return built
        return _load(self._base) or built

    def discard_unfinished(self) -> None:
        if self._unfinished is not None:
            _remove(self._unfinished)


def _load(base: pathlib.Path) -> Optional[ImagesByClass]:
    """The set under this name, or None where it is missing, damaged or of another version."""
    try:
        content = json.loads(_content_file(base).read_text())
        if content["format"] != FORMAT_VERSION:
            return _left_aside(base, f"is of another version ({content['format']}, and not {FORMAT_VERSION})")
        if content["checksum"] != _checksum(_images_file(base)):
            return _left_aside(base, "is damaged")
        images = np.load(_images_file(base), mmap_mode="r", allow_pickle=False)
        if list(images.shape) != content["shape"]:
            return _left_aside(base, "is damaged")
        return ImagesByClass(
            name=content["name"],
            images=images,
            offsets=np.asarray(content["offsets"], dtype=np.int64),
            class_names=tuple(content["class_names"]),
            splits={name: np.asarray(classes, dtype=np.int64) for name, classes in content["splits"].items()},
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return _left_aside(base, "is damaged or cannot be read")


def _left_aside(base: pathlib.Path, what: str) -> Optional[ImagesByClass]:
    """Says why a set is not used; returns None, the set that is not there."""
    logging.warning("The decoded set %s %s: it is built again.", _content_file(base), what)
    return None


def _checksum(path: str | os.PathLike) -> str:
    """Size and CRC-32 of a file; of a large one, of evenly spread blocks, to stay below a second."""
    size = os.path.getsize(path)
    blocks = -(-size // _BLOCK)
    step = max(1, blocks / _CHECKED_BLOCKS)
    crc = 0
    with open(path, "rb") as file:
        for i in range(min(blocks, _CHECKED_BLOCKS)):
            file.seek(int(i * step) * _BLOCK)
            crc = zlib.crc32(file.read(_BLOCK), crc)
    return f"{size}-{crc:08x}"


def _write_renamed(path: pathlib.Path, text: str) -> None:
    handle, unfinished = tempfile.mkstemp(".unfinished", path.name + ".", path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(unfinished, path)
    except OSError:
        _remove(unfinished)
        raise


def _remove_abandoned(directory: pathlib.Path) -> None:
    for path in directory.glob("*.unfinished"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                path.unlink()
        except OSError:
            continue  # another process was faster


def _remove(path: str | os.PathLike) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # already renamed or removed; an unfinished file left behind is removed a day later


def _images_file(base: pathlib.Path) -> pathlib.Path:
    return base.with_suffix(".npy")


def _content_file(base: pathlib.Path) -> pathlib.Path:
    return base.with_suffix(".json")
