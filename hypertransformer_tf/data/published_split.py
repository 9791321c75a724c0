"""Class splits that were published with a data set, kept as JSON files in `splits/` with their source."""

import dataclasses
import json
import pathlib
from typing import Mapping, Optional, Sequence

import numpy as np

from hypertransformer_tf.errors import UserError

PARTS_IN_FILES = {"train": "train", "validation": "val", "test": "test"}  # ours -> what distributions call them
_FOLDER = pathlib.Path(__file__).resolve().parent / "splits"


@dataclasses.dataclass(frozen=True)
class PublishedSplit:
    """Which classes are for what, and how many images the whole set has.

    Attributes:
      source: who published it.
      classes: 'train', 'validation', 'test' -> class names, in the published order.
      images_per_class: where it is the same for all classes.
      images: images of each part in all, where it is not.
    """

    source: str
    classes: Mapping[str, Sequence[str]]
    images_per_class: Optional[int] = None
    images: Optional[Mapping[str, int]] = None

    def check_classes(self, part: str, found: Sequence[str], where: str) -> None:
        """Raises UserError unless `found` are exactly the part's classes."""
        wanted = set(self.classes[part])
        missing, foreign = sorted(wanted - set(found)), sorted(set(found) - wanted, key=str)
        if missing or foreign:
            what = f"lacks the class {missing[0]}" if missing else f"holds the class {foreign[0]}, which is not of it"
            raise UserError(
                f"{where} {what}: the published {part} split has {len(wanted)} classes ({self.source}); "
                "use the files as they are distributed."
            )

    def check_counts(self, part: str, counts: Sequence[int], where: str) -> None:
        """Raises UserError unless the part's classes hold as many images as were published."""
        if len(counts) != len(self.classes[part]):
            raise UserError(
                f"{where} has {len(counts)} classes where the published {part} split has {len(self.classes[part])} "
                f"({self.source}); use the files as they are distributed."
            )
        wrong = [count for count in counts if self.images_per_class not in (None, count)]
        if wrong:
            raise UserError(
                f"{where} has a class of {wrong[0]} images where each has {self.images_per_class}; "
                "use the files as they are distributed."
            )
        if self.images is not None and sum(counts) != self.images[part]:
            raise UserError(
                f"{where} has {sum(counts):,} images where the published {part} split has {self.images[part]:,}; "
                "use the files as they are distributed."
            )

    def indices(self, class_names: Sequence[str], where: str) -> dict[str, np.ndarray]:
        """Part -> int64 indices of its classes in `class_names`. Raises UserError for one that is not there."""
        place = {name: index for index, name in enumerate(class_names)}
        missing = [name for names in self.classes.values() for name in names if name not in place]
        if missing:
            raise UserError(
                f"{where} lacks the class {missing[0]!r} of the published split ({self.source}); prepare it again."
            )
        return {
            part: np.asarray([place[name] for name in names], dtype=np.int64) for part, names in self.classes.items()
        }


def published_split(name: str) -> PublishedSplit:
    """The split of 'cifar_fs', 'fc100', 'mini_imagenet' or 'tiered_imagenet'."""
    return PublishedSplit(**json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))
