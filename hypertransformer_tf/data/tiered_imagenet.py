"""tieredImageNet (Ren et al., 2018): 351 / 97 / 160 classes of ImageNet, split by category, 779,165 images.

Its distribution is `{train,val,test}_images_png.pkl`, a list of PNG files, with `{train,val,test}_labels.pkl`: a
dictionary with `label_specific` (one whole number for each image), or such a list itself.
"""

import os
import pathlib
from typing import Any, Optional

import numpy as np

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.published_split import PARTS_IN_FILES, published_split
from hypertransformer_tf.data.restricted_pickle import load_pickle
from hypertransformer_tf.errors import UserError

_TO_FETCH = (
    "tieredImageNet cannot be downloaded by a program (ImageNet's terms): fetch tiered-imagenet.tar "
    "(MD5 e07e811b9f29362d159a9edd0d838c62), linked from github.com/renmengye/few-shot-ssl-public, and unpack "
    "{train,val,test}_images_png.pkl and {train,val,test}_labels.pkl there"
)


def load_tiered_imagenet(config: DataConfig) -> ImagesByClass:
    """Reads the folder that `config.source`, 'tiered_imagenet:PATH', names.

    Classes are numbered train first, then validation, then test, each in the order of its labels, as the authors
    number them. One part's pickle is in memory at a time, up to 9 GB of it; what is kept is memory-mapped.

    Raises:
      UserError: files are missing or damaged, a pickle asks for anything but arrays and containers, or classes
        or images are not as many as were published.
    """
    folder = config.located(parse_source(config.source)[1])
    files = [folder / f"{name}_{kind}.pkl" for name in PARTS_IN_FILES.values() for kind in ("labels", "images_png")]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise UserError(f"data.source = {config.source}: {folder} lacks {missing[0]}. {_TO_FETCH}.")
    depends_on = {
        "source": "tiered_imagenet",
        "folder": os.path.abspath(folder),
        "files": describe_files(files),
        "image_size": config.image_size,
        "channels": config.channels,
    }
    return load_or_build(depends_on, lambda allocate: _read(folder, config, allocate))


def _read(folder: pathlib.Path, config: DataConfig, allocate: Allocate) -> ImagesByClass:
    split = published_split("tiered_imagenet")
    places: dict[str, np.ndarray] = {}  # part -> for each of its images the class, from 0 over all parts
    names: list[str] = []
    counts: list[int] = []
    splits = {}
    for part, stem in PARTS_IN_FILES.items():
        path = folder / f"{stem}_labels.pkl"
        labels, given = _labels(load_pickle(path), path)
        classes, places[part], of_class = np.unique(labels, return_inverse=True, return_counts=True)
        split.check_counts(part, of_class.tolist(), str(path))
        splits[part] = np.arange(len(names), len(names) + len(classes), dtype=np.int64)
        places[part] = places[part] + len(names)
        names += [f"{stem}:{_name(given, int(label))}" for label in classes]
        counts += of_class.tolist()
    offsets = offsets_of(counts)
    images = allocate((int(offsets[-1]), config.image_size, config.image_size, config.channels))
    next_place = offsets[:-1].copy()
    for part, stem in PARTS_IN_FILES.items():
        path = folder / f"{stem}_images_png.pkl"
        pictures = load_pickle(path)
        if not isinstance(pictures, (list, tuple, np.ndarray)) or len(pictures) != len(places[part]):
            raise UserError(f"{path} does not hold one PNG file for each of the {len(places[part])} labels beside it.")
        for number, (picture, c) in enumerate(zip(pictures, places[part])):
            where = f"Image {number} of {path}"
            images[next_place[c]] = decode_image(_bytes(picture, where), where, config.image_size, config.channels)
            next_place[c] += 1
        del pictures
    return ImagesByClass("tiered_imagenet", images, offsets, tuple(names), splits)


def _labels(content: Any, path: pathlib.Path) -> tuple[np.ndarray, Optional[list]]:
    """(N,) labels of a part's images, and the classes' names where the file gives them."""
    given = None
    if isinstance(content, dict):
        content = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        given = content.get("label_specific_str")
        content = content.get("label_specific")
    labels = np.asarray(content if isinstance(content, (list, tuple, np.ndarray)) else [])
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{path} does not hold label_specific, one whole number for each image.")
    return labels, list(given) if isinstance(given, (list, tuple, np.ndarray)) else None


def _name(given: Optional[list], label: int) -> str:
    if given is None or not 0 <= label < len(given):
        return str(label)
    name = given[label]
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _bytes(picture: Any, where: str) -> bytes:
    """An encoded picture, which is bytes, or an array of them, or what Python 2 wrote as a string."""
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        return picture.tobytes()
    if isinstance(picture, str):
        return picture.encode("latin1")
    if isinstance(picture, (bytes, bytearray)):
        return bytes(picture)
    raise UserError(f"{where} is a {type(picture).__name__} where the bytes of a PNG file are needed.")
