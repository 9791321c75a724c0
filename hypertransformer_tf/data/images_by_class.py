"""Images grouped by class, the one form in which every data source hands over its content."""

import dataclasses
from typing import Mapping

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class ImagesByClass:
    """A labelled image set from which episodes are drawn.

    Attributes:
      name: what the set is called in logs and results.
      images: (N, H, W, C) uint8, 0 black to 255 white, or vectors (N, 1, 1, C) float32, which a model takes as they
        are; in memory or memory-mapped, grouped by class.
      offsets: (num_classes + 1,) int64; class c owns `images[offsets[c]:offsets[c + 1]]`.
      class_names: one name per class.
      splits: 'train', 'validation' and 'test' -> int64 class indices. The three are disjoint sets of
        classes, not of images: meta-test classes are never seen in meta-training.

    Raises:
      ValueError: the parts contradict each other.
    """

    name: str
    images: np.ndarray
    offsets: np.ndarray
    class_names: tuple[str, ...]
    splits: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        vectors = self.images.dtype == np.float32 and self.images.shape[1:3] == (1, 1)
        if self.images.ndim != 4 or not (vectors or self.images.dtype == np.uint8):
            raise ValueError(
                f"images must be (N, H, W, C) uint8 or (N, 1, 1, C) float32, not {self.images.shape} "
                f"{self.images.dtype}"
            )
        if len(self.offsets) != len(self.class_names) + 1:
            raise ValueError(f"{len(self.class_names)} classes need one offset more, not {len(self.offsets)}")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.images) or np.any(np.diff(self.offsets) < 0):
            raise ValueError(f"offsets must rise from 0 to {len(self.images)}")
        used = [int(c) for classes in self.splits.values() for c in classes]
        if len(set(used)) != len(used):
            raise ValueError("a class lies in two splits")
        if used and not 0 <= min(used) <= max(used) < self.num_classes:
            raise ValueError(f"splits name classes outside 0..{self.num_classes - 1}")

    @property
    def num_classes(self) -> int:
        """Of all splits together."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def are_pictures(self) -> bool:
        """Whether they are pictures, and not vectors."""
        return self.images.dtype == np.uint8

    def count(self, class_index: int) -> int:
        """Number of images of one class."""
        return int(self.offsets[class_index + 1] - self.offsets[class_index])

    def class_images(self, class_index: int) -> np.ndarray:
        """(count, H, W, C) view of one class's images."""
        return self.images[self.offsets[class_index] : self.offsets[class_index + 1]]


def blank_set(name: str, class_names: tuple[str, ...], samples: int, shape: tuple[int, int, int]) -> ImagesByClass:
    """A set of `samples` black images (H, W, C) of each class, without a split; the images take no memory."""
    images = np.broadcast_to(np.uint8(0), (len(class_names) * samples, *shape))
    return ImagesByClass(name, images, offsets_of([samples] * len(class_names)), class_names, {})


def offsets_of(counts: list[int]) -> np.ndarray:
    """(len(counts) + 1,) int64 offsets of classes that hold `counts` images each."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))]).astype(np.int64)
