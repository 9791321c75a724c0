"""Which images to use and in which form (gin name: `data`)."""

import dataclasses
import os
import pathlib
from typing import Optional

import gin
from hypertransformer_tf.config_checks import is_real_number, is_whole_number
from hypertransformer_tf.errors import UserError

SOURCES = (
    "glyphs",
    "omniglot",
    "omniglot_averaged",
    "tfds:NAME",
    "folder:PATH",
    "arrays:PATH",
    "cifar_fs",
    "fc100",
    "mini_imagenet:PATH",
    "tiered_imagenet:PATH",
    "leo_embeddings:PATH",
)
_WITHOUT_ARGUMENT = ("glyphs", "omniglot", "omniglot_averaged", "cifar_fs", "fc100")
_WITH_ARGUMENT = ("tfds", "folder", "arrays", "mini_imagenet", "tiered_imagenet", "leo_embeddings")
EMBEDDING_SIZE = 640  # values of a vector of LEO's
_LARGEST_IMAGE = 2048
_FRACTIONS = (0.7, 0.1, 0.2)


@gin.configurable("data")
@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set of a run.

    Attributes:
      source: 'glyphs' (drawn by the library, nothing to download), 'omniglot' (brought to its size as by the
        authors), 'omniglot_averaged' (as pictures of one's own are), 'tfds:NAME' (any TFDS classification
        set), 'folder:PATH' (one sub-folder of pictures per class), 'arrays:PATH' (.npy, .npz or a folder of
        .npy files), 'cifar_fs', 'fc100' (both of TFDS cifar100), or 'mini_imagenet:PATH',
        'tiered_imagenet:PATH' and 'leo_embeddings:PATH' (folders with their files as distributed; the last
        are vectors).
      data_dir: where prepared TFDS data lies, and the PATH of the last three if it is not found from the
        current directory; unset means $TFDS_DATA_DIR, then ~/tensorflow_datasets.
      image_size: height and width in pixels to which every image is brought; 1 for vectors.
      channels: 1 for grey, 3 for colour; 640, the values of a vector, for 'leo_embeddings'.
      split_fractions: shares of the classes for meta-train, -validation and -test, for sources that
        do not bring a split of their own (sets with a published split and a folder with
        train/validation/test do).
      split_counts: instead of the fractions, how many classes each of the three gets; they add up to all classes.
      split_seed: which random split of the classes; None splits them in the order of the source.

    Raises:
      UserError: a value is of the wrong kind or out of range.
    """

    source: str = "glyphs"
    data_dir: Optional[str] = None
    image_size: int = 28
    channels: int = 1
    split_fractions: tuple[float, float, float] = _FRACTIONS
    split_seed: Optional[int] = 0
    split_counts: Optional[tuple[int, int, int]] = None

    def __post_init__(self) -> None:
        parse_source(self.source)
        if self.data_dir is not None and not isinstance(self.data_dir, (str, os.PathLike)):
            raise UserError(f"data.data_dir = {self.data_dir!r} is not a path; give a string or leave it unset.")
        if not is_whole_number(self.image_size) or not 1 <= self.image_size <= _LARGEST_IMAGE:
            raise UserError(
                f"data.image_size = {self.image_size!r} must be a whole number of pixels from 1 to {_LARGEST_IMAGE}."
            )
        self._check_channels()
        if self.split_seed is not None and (not is_whole_number(self.split_seed) or self.split_seed < 0):
            raise UserError(
                f"data.split_seed = {self.split_seed!r} must be a whole number of at least 0, or None for the order of "
                "the source."
            )
        object.__setattr__(self, "split_fractions", _checked_fractions(self.split_fractions))
        if self.split_counts is not None:
            object.__setattr__(self, "split_counts", _checked_counts(self.split_counts))
            if self.split_fractions != _FRACTIONS:
                raise UserError(
                    f"data.split_counts = {self.split_counts!r} and data.split_fractions = {self.split_fractions!r} "
                    "are both set: give one of them."
                )

    def _check_channels(self) -> None:
        if parse_source(self.source)[0] == "leo_embeddings":
            if (self.image_size, self.channels) != (1, EMBEDDING_SIZE):
                raise UserError(
                    f"data.image_size = {self.image_size!r} and data.channels = {self.channels!r} do not suit "
                    f"data.source = {self.source!r}, which holds vectors: set them to 1 and {EMBEDDING_SIZE}."
                )
        elif not is_whole_number(self.channels) or self.channels not in (1, 3):
            raise UserError(f"data.channels = {self.channels!r} must be 1 (grey) or 3 (colour).")

    def tfds_directory(self) -> pathlib.Path:
        """The folder in which TFDS data is looked for."""
        chosen = self.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        return pathlib.Path(chosen).expanduser()

    def located(self, path: str) -> pathlib.Path:
        """A path of `source`: from the current directory, or else from the folder of the data."""
        given = pathlib.Path(path).expanduser()
        elsewhere = self.tfds_directory() / given
        return elsewhere if not given.exists() and elsewhere.exists() else given


def parse_source(source: str) -> tuple[str, str]:
    """'folder:a/b' -> ('folder', 'a/b'); 'glyphs' -> ('glyphs', '').

    Raises:
      UserError: there is no such source; the message lists those there are.
    """
    kind, colon, argument = source.partition(":") if isinstance(source, str) else (None, "", "")
    if kind in _WITHOUT_ARGUMENT and not colon:
        return kind, ""
    if kind in _WITH_ARGUMENT and argument.strip():
        return kind, argument.strip()
    raise UserError(f"data.source = {source!r} is not known; use one of {', '.join(SOURCES)}.")


def _checked_counts(counts: object) -> tuple[int, int, int]:
    problem = UserError(
        f"data.split_counts = {counts!r} must be three whole numbers of at least 0 for train, validation and test, "
        "such as (64, 16, 20)."
    )
    if not isinstance(counts, (tuple, list)) or len(counts) != 3 or not all(map(is_whole_number, counts)):
        raise problem
    if min(counts) < 0 or sum(counts) == 0:
        raise problem
    train, validation, test = (int(count) for count in counts)
    return train, validation, test


def _checked_fractions(fractions: object) -> tuple[float, float, float]:
    problem = UserError(
        f"data.split_fractions = {fractions!r} must be three numbers of at least 0 for train, "
        "validation and test that add up to 1, such as (0.7, 0.1, 0.2)."
    )
    if not isinstance(fractions, (tuple, list)) or len(fractions) != 3:
        raise problem
    if not all(is_real_number(fraction) and fraction >= 0 for fraction in fractions):
        raise problem
    if not abs(sum(fractions) - 1) < 1e-6:
        raise problem
    train, validation, test = (float(f) for f in fractions)
    return train, validation, test
