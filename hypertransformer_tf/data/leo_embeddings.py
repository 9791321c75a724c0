"""The embeddings that LEO was published with (Rusu et al., ICLR 2019): 640 values for each image of a few-shot set.

A set is `{train,val,test}_embeddings.pkl`, each a dictionary with `embeddings` (N, 640) and `keys` (N,), such as
`153783656-n01532829-n01532829_1234.JPEG`: the class between the hyphens. A vector is handed on as an image of one pixel
and 640 channels, scaled to unit length, which is how LEO's authors read it.
"""

import os
import pathlib
from typing import Any

import numpy as np

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import EMBEDDING_SIZE, DataConfig, parse_source
from hypertransformer_tf.data.images_by_class import ImagesByClass, offsets_of
from hypertransformer_tf.data.published_split import PARTS_IN_FILES, published_split
from hypertransformer_tf.data.restricted_pickle import load_pickle
from hypertransformer_tf.errors import UserError

_SETS = ("tiered_imagenet", "mini_imagenet")
_TO_FETCH = (
    "Fetch storage.googleapis.com/leo-embeddings/embeddings.zip, linked from github.com/google-deepmind/leo, and "
    "unpack it; the folder is one such as embeddings/tieredImageNet/center"
)


def load_leo_embeddings(config: DataConfig) -> ImagesByClass:
    """Reads the folder that `config.source`, 'leo_embeddings:PATH', names.

    Classes are named by their WordNet ids, in the published order of tieredImageNet or miniImageNet, whichever of the
    two it is. One part's pickle is in memory at a time; what is kept, (N, 1, 1, 640) float32, is memory-mapped.

    Raises:
      UserError: files are missing or damaged, a pickle asks for anything but arrays and containers, or classes are not
        those that were published.
    """
    folder = config.located(parse_source(config.source)[1])
    files = {part: folder / f"{name}_embeddings.pkl" for part, name in PARTS_IN_FILES.items()}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise UserError(f"data.source = {config.source}: {folder} lacks {missing[0]}. {_TO_FETCH}.")
    depends_on = {
        "source": "leo_embeddings",
        "folder": os.path.abspath(folder),
        "files": describe_files(list(files.values())),
    }
    return load_or_build(depends_on, lambda allocate: _read(files, allocate))


def _read(files: dict[str, pathlib.Path], allocate: Allocate) -> ImagesByClass:
    # Twice, for the sizes first: the memory for all of them is asked for at once.
    classes = {part: _classes_and_vectors(path)[0] for part, path in files.items()}
    name = _set_of(classes["train"], files["train"])
    split = published_split(name)
    for part, path in files.items():
        split.check_classes(part, sorted(set(classes[part].tolist())), str(path))
    names = [(part, each) for part in PARTS_IN_FILES for each in split.classes[part]]
    offsets = offsets_of([int((classes[part] == each).sum()) for part, each in names])
    vectors = allocate((int(offsets[-1]), 1, 1, EMBEDDING_SIZE), np.float32)
    place = {each: first for (_, each), first in zip(names, offsets)}
    for part, path in files.items():
        of_part, content = _classes_and_vectors(path)
        for each in split.classes[part]:
            chosen = content[of_part == each].astype(np.float32)
            scaled = _of_unit_length(chosen, f"{path} is damaged: a vector of the class {each}")
            vectors[place[each] : place[each] + len(chosen), 0, 0] = scaled
        del content
    class_names = tuple(each for _, each in names)
    splits = split.indices(class_names, "LEO's embeddings")
    return ImagesByClass(f"leo_embeddings of {name}", vectors, offsets, class_names, splits)


def _of_unit_length(vectors: np.ndarray, what: str) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise UserError(f"{what} is zero or not finite.")
    return vectors / lengths


def _set_of(classes: np.ndarray, path: pathlib.Path) -> str:
    """Which few-shot set has so many training classes."""
    count = len(set(classes.tolist()))
    counts = {name: len(published_split(name).classes["train"]) for name in _SETS}
    for name, expected in counts.items():
        if count == expected:
            return name
    raise UserError(
        f"{path} has {count} classes where LEO's embeddings have {counts['tiered_imagenet']} (tieredImageNet) or "
        f"{counts['mini_imagenet']} (miniImageNet); use the files as they are distributed."
    )


def _classes_and_vectors(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Class names (N,) and vectors (N, 640) of one file, checked."""
    content = load_pickle(path)
    if not isinstance(content, dict) or not {"keys", "embeddings"} <= set(content):
        raise UserError(f"{path} does not hold LEO's embeddings: a dictionary with keys and embeddings is needed.")
    keys, vectors = content["keys"], content["embeddings"]
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.shape[1] != EMBEDDING_SIZE:
        raise UserError(f"{path}: embeddings must be an array (N, {EMBEDDING_SIZE}), not {np.shape(vectors)}.")
    if not np.issubdtype(vectors.dtype, np.floating):
        raise UserError(f"{path}: embeddings must be floating point numbers, not {vectors.dtype}.")
    if not isinstance(keys, (np.ndarray, list, tuple)) or len(keys) != len(vectors):
        raise UserError(f"{path}: there must be one key for each of the {len(vectors)} embeddings.")
    return np.asarray([_class_of(key, path) for key in keys]), vectors


def _class_of(key: Any, path: pathlib.Path) -> str:
    """'153783656-n01532829-n01532829_1234.JPEG' -> 'n01532829'; Python 3 reads some of the files' keys as bytes."""
    text = key.decode("latin1") if isinstance(key, bytes) else key
    parts = text.split("-") if isinstance(text, str) else []
    if len(parts) != 3 or not parts[1]:
        raise UserError(f"{path}: the key {key!r} does not name a class; NUMBER-CLASS-FILE is needed.")
    return parts[1]
