"""miniImageNet (Vinyals et al., 2016) in the split of Ravi and Larochelle (2017): 64 / 16 / 20 classes of 600 images.

Two distributions are read: `mini-imagenet-cache-{train,val,test}.pkl`, each a dictionary with `image_data`
(N, 84, 84, 3) uint8 and `class_dict` {name: [indices]}; and a folder `images` with `train.csv`, `val.csv` and
`test.csv` (filename,label).
"""

import concurrent.futures
import csv
import os
import pathlib
from typing import Any, Mapping

import numpy as np
from PIL import Image

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.decoding import fit_array
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.published_split import PARTS_IN_FILES, published_split
from hypertransformer_tf.data.restricted_pickle import load_pickle
from hypertransformer_tf.errors import UserError

_THREADS = 4
_TO_FETCH = (
    "miniImageNet cannot be downloaded by a program (ImageNet's terms): fetch mini-imagenet.tar.gz "
    "(MD5 b38f1eb4251fb9459ecc8e7febf9b2eb), linked from github.com/renmengye/few-shot-ssl-public, and unpack "
    "mini-imagenet-cache-{train,val,test}.pkl there, or put images/ with train.csv, val.csv and test.csv there"
)


def load_mini_imagenet(config: DataConfig) -> ImagesByClass:
    """Reads the folder that `config.source`, 'mini_imagenet:PATH', names.

    Classes are named by their WordNet ids, in the published order; `split_fractions` and `split_seed` are not used.

    Raises:
      UserError: files are missing or damaged, a pickle asks for anything but arrays and containers, or classes
        or images are not those that were published.
    """
    folder = config.located(parse_source(config.source)[1])
    pickles = {part: folder / f"mini-imagenet-cache-{name}.pkl" for part, name in PARTS_IN_FILES.items()}
    lists = {part: folder / f"{name}.csv" for part, name in PARTS_IN_FILES.items()}
    if all(path.is_file() for path in pickles.values()):
        files, read, pictures = pickles, _read_pickles, []
    elif all(path.is_file() for path in lists.values()):
        files, read = lists, _read_lists
        pictures = [
            picture for path in lists.values() for listed in _pictures_of_list(path).values() for picture in listed
        ]
    else:
        raise UserError(
            f"data.source = {config.source}: {folder.resolve()} holds neither form of the set. {_TO_FETCH}."
        )
    depends_on = {
        "source": "mini_imagenet",
        "folder": os.path.abspath(folder),
        "files": describe_files([*files.values(), *filter(pathlib.Path.is_file, pictures)]),
        "image_size": config.image_size,
        "channels": config.channels,
    }
    return load_or_build(depends_on, lambda allocate: read(files, config, allocate))


def _read_pickles(files: Mapping[str, pathlib.Path], config: DataConfig, allocate: Allocate) -> ImagesByClass:
    images, per_class = _allocate(config, allocate)
    first = 0
    for part, path in files.items():
        pixels, classes = _content_of_pickle(load_pickle(path), path, part)
        for name in published_split("mini_imagenet").classes[part]:
            chosen = pixels[classes[name]]
            images[first : first + per_class] = fit_array(
                chosen, f"Class {name} of {path}", config.image_size, config.channels
            )
            first += per_class
        del pixels  # before the next part's come
    return _set_of(images, per_class)


def _content_of_pickle(content: Any, path: pathlib.Path, part: str) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    """The images (N, H, W, C) and {class name: indices} of one pickle, checked."""
    if not isinstance(content, dict) or not {"image_data", "class_dict"} <= set(content):
        raise UserError(f"{path} is not a miniImageNet cache: a dictionary with image_data and class_dict is needed.")
    pixels, classes = content["image_data"], content["class_dict"]
    if not isinstance(pixels, np.ndarray) or not isinstance(classes, dict):
        raise UserError(f"{path} is damaged: image_data must be an array and class_dict a dictionary.")
    split = published_split("mini_imagenet")
    split.check_classes(part, list(classes), str(path))
    indices = {name: _whole_numbers(listed, path) for name, listed in classes.items()}
    split.check_counts(part, [len(each) for each in indices.values()], str(path))
    used = np.concatenate(list(indices.values()))
    if len(np.unique(used)) != len(used) or used.min() < 0 or used.max() >= len(pixels):
        raise UserError(f"{path} is damaged: class_dict names an image twice, or one of none of the {len(pixels)}.")
    return pixels, indices


def _whole_numbers(listed: Any, path: pathlib.Path) -> np.ndarray:
    try:
        numbers = np.asarray(listed)
    except ValueError:  # lists of several lengths
        numbers = np.empty((0, 0))
    if numbers.ndim != 1 or (len(numbers) and numbers.dtype.kind not in "iu"):
        raise UserError(f"{path} is damaged: class_dict must hold a list of whole numbers for each class.")
    return numbers.astype(np.int64)


def _read_lists(files: Mapping[str, pathlib.Path], config: DataConfig, allocate: Allocate) -> ImagesByClass:
    split = published_split("mini_imagenet")
    pictures = []
    for part, path in files.items():
        by_class = _pictures_of_list(path)
        split.check_classes(part, list(by_class), str(path))
        split.check_counts(part, [len(names) for names in by_class.values()], str(path))
        pictures += [picture for name in split.classes[part] for picture in by_class[name]]
    images, per_class = _allocate(config, allocate)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        decoded = pool.map(lambda path: _squeezed(path, config.image_size, config.channels), pictures)
        for place, picture in enumerate(decoded):
            images[place] = picture
    return _set_of(images, per_class)


def _pictures_of_list(path: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Class name -> its pictures, in the order of the list."""
    by_class: dict[str, list[pathlib.Path]] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                by_class.setdefault(row["label"], []).append(path.parent / "images" / row["filename"])
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise UserError(
            f"{path} is not one of Ravi and Larochelle's lists: its lines must be filename,label."
        ) from None
    return by_class


def _squeezed(path: pathlib.Path, image_size: int, channels: int) -> np.ndarray:
    """A picture as a square, its sides scaled apart: what miniImageNet is everywhere else, too."""
    try:
        with Image.open(path) as image:
            size, kernel = (image_size, image_size), Image.Resampling.LANCZOS
            pixels = np.asarray(image.convert("RGB" if channels == 3 else "L").resize(size, kernel))
    except FileNotFoundError:
        raise UserError(f"{path}, which its list names, does not exist; {_TO_FETCH}.") from None
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged input
        raise UserError(f"{path} cannot be read as a picture ({error or type(error).__name__}).") from error
    return pixels.reshape(image_size, image_size, channels)


def _allocate(config: DataConfig, allocate: Allocate) -> tuple[np.ndarray, int]:
    """Memory for all images, and how many each class has."""
    split = published_split("mini_imagenet")
    per_class = int(split.images_per_class or 0)
    count = per_class * sum(len(names) for names in split.classes.values())
    return allocate((count, config.image_size, config.image_size, config.channels)), per_class


def _set_of(images: np.ndarray, per_class: int) -> ImagesByClass:
    split = published_split("mini_imagenet")
    names = tuple(name for part in PARTS_IN_FILES for name in split.classes[part])
    return ImagesByClass(
        name="mini_imagenet",
        images=images,
        offsets=offsets_of([per_class] * len(names)),
        class_names=names,
        splits=split.indices(names, "miniImageNet"),
    )
