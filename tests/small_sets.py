"""Small data sets in the exact form of the large ones: written by tests, with splits to match."""

import io
import pathlib
import pickle

import numpy as np
from PIL import Image

from hypertransformer_tf.data import cifar_splits, leo_embeddings, mini_imagenet, tiered_imagenet
from hypertransformer_tf.data.published_split import PublishedSplit

PER_CLASS = 6
CLASSES = {
    "train": ("n01532829", "n01558993", "n01704323"),
    "validation": ("n01855672", "n02091244"),
    "test": ("n01930112", "n01981276"),
}
FILES = {"train": "train", "validation": "val", "test": "test"}
SPLIT = PublishedSplit("a test", CLASSES, images_per_class=PER_CLASS)
TIERED = PublishedSplit("a test", CLASSES, images={"train": 18, "validation": 12, "test": 12})
_RNG = np.random.default_rng(0)


def use_small_splits(monkeypatch) -> None:
    """The loaders then expect the sets that are written here."""
    monkeypatch.setattr(mini_imagenet, "published_split", lambda name: SPLIT)
    monkeypatch.setattr(tiered_imagenet, "published_split", lambda name: TIERED)
    monkeypatch.setattr(leo_embeddings, "published_split", lambda name: TIERED)
    monkeypatch.setattr(cifar_splits, "published_split", lambda name: SPLIT)


def pictures(count: int, side: int = 84) -> np.ndarray:
    """(count, side, side, 3) uint8 noise."""
    return _RNG.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_mini_pickles(folder: pathlib.Path, protocol: int = 2) -> dict[str, np.ndarray]:
    """mini-imagenet-cache-*.pkl; class name -> its images."""
    written = {}
    for part, file in FILES.items():
        names = CLASSES[part]
        pixels = pictures(PER_CLASS * len(names))
        order = _RNG.permutation(len(pixels))  # classes need not lie together
        members = {name: order[i * PER_CLASS : (i + 1) * PER_CLASS].tolist() for i, name in enumerate(names)}
        written.update({name: pixels[indices] for name, indices in members.items()})
        content = {"image_data": pixels, "class_dict": dict(reversed(members.items()))}
        (folder / f"mini-imagenet-cache-{file}.pkl").write_bytes(pickle.dumps(content, protocol))
    return written


def write_mini_lists(folder: pathlib.Path, side: int = 84) -> dict[str, np.ndarray]:
    """images/ with train.csv, val.csv and test.csv; class name -> its images."""
    (folder / "images").mkdir()
    written = {}
    for part, file in FILES.items():
        lines = ["filename,label"]
        for name in CLASSES[part]:
            written[name] = pictures(PER_CLASS, side)
            for number, pixels in enumerate(written[name]):
                picture = f"{name}{number:08}.jpg"
                Image.fromarray(pixels).save(folder / "images" / picture, format="PNG")  # exact; read by content
                lines.append(f"{picture},{name}")
        (folder / f"{file}.csv").write_text("\n".join(lines) + "\n")
    return written


def png(pixels: np.ndarray) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_tiered(folder: pathlib.Path, form=bytes, as_list: bool = False, first_label: int = 0) -> list[np.ndarray]:
    """*_images_png.pkl and *_labels.pkl; the images of each class, over all parts."""
    written = []
    for part, file in FILES.items():
        names = CLASSES[part]
        counts = [PER_CLASS - 1, *[PER_CLASS] * (len(names) - 2), PER_CLASS + 1]
        labels = _RNG.permutation(np.repeat(np.arange(len(names)), counts))
        pixels = pictures(len(labels))
        written += [pixels[labels == label] for label in range(len(names))]
        content = {
            "label_specific": labels + first_label,
            "label_general": np.zeros(len(labels), np.int64),
            "label_specific_str": [f"name of {name}" for name in names],
            "label_general_str": ["thing"],
        }
        saved = (labels + first_label).tolist() if as_list else content
        (folder / f"{file}_labels.pkl").write_bytes(pickle.dumps(saved, 2))
        (folder / f"{file}_images_png.pkl").write_bytes(pickle.dumps([form(png(image)) for image in pixels], 2))
        first_label += len(names) if first_label else 0
    return written


def write_leo(folder: pathlib.Path, form=np.asarray, kind: str = "float32") -> dict[str, np.ndarray]:
    """*_embeddings.pkl; class name -> its vectors (N, 640), of any length."""
    written = {}
    for part, file in FILES.items():
        names = CLASSES[part]
        written.update({name: _RNG.normal(size=(PER_CLASS, 640)).astype(kind) for name in names})
        keys = [f"{153783656 + i}-{name}-{name}_{i}.JPEG" for name in names for i in range(PER_CLASS)]
        vectors = np.concatenate([written[name] for name in names])
        order = _RNG.permutation(len(keys))  # classes need not lie together
        written.update({name: vectors[[i for i in order if f"-{name}-" in keys[i]]] for name in names})
        content = {"keys": form([keys[i] for i in order]), "embeddings": vectors[order]}
        (folder / f"{file}_embeddings.pkl").write_bytes(pickle.dumps(content, 2))
    return written
