"""Classification sets of TensorFlow Datasets (TFDS), all their splits joined and grouped by class.

TFDS and TensorFlow are imported only when prepared data has to be decoded; a set that was decoded before
comes from the cache without them.
"""

import contextlib
import importlib.metadata
import logging
import os
import pathlib
import sys
import urllib.error
import urllib.request
from typing import Any, Iterator, Optional

from hypertransformer_tf.data.cache import Allocate, describe_files, load_or_build
from hypertransformer_tf.data.config import DataConfig, parse_source
from hypertransformer_tf.data.decoding import decode_image
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.tfds_reading import Decode, read_builder
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.quiet_import import import_quietly

_NETWORK_PROBE = "https://storage.googleapis.com"
_NETWORK_TIMEOUT = 3.0  # seconds


def load_tfds(config: DataConfig) -> ImagesByClass:
    """Reads the set that `config.source`, 'tfds:NAME', names; NAME may hold a configuration and a version.

    Returns:
      The set without a split of its classes.

    Raises:
      UserError: the set is unknown, not prepared and not to be had, damaged, or not a classification set.
    """
    return load_prepared(parse_source(config.source)[1], config, splits=None)


def load_prepared(
    name: str, config: DataConfig, splits: Optional[tuple[str, ...]], decode: Decode = decode_image
) -> ImagesByClass:
    """Reads a TFDS set that lies prepared in `config.tfds_directory()`; downloads it where that is possible.

    Args:
      name: as TFDS spells it, such as 'cifar100' or 'omniglot:3.0.0'.
      config: where it lies, and the wanted size and channels.
      splits: TFDS splits to join; None means all that add something.
      decode: makes an image of the wanted size and channels out of an encoded one.
    """
    data_dir = config.tfds_directory()
    if not _prepared_files(data_dir, name):
        with _quiet():
            _download(_open_builder(name, data_dir), name, data_dir)

    def build(allocate: Allocate) -> ImagesByClass:
        with _quiet():
            builder = _open_builder(name, data_dir)
            if not _is_prepared(builder):
                _download(builder, name, data_dir)
            return read_builder(
                builder, f"TFDS set {name} in {data_dir}", splits, config.image_size, config.channels, allocate, decode
            )

    depends_on = {
        "source": "tfds",
        "name": name,
        "splits": splits,
        "decode": decode.__name__,
        "image_size": config.image_size,
        "channels": config.channels,
        "files": describe_files(_prepared_files(data_dir, name)),
        "tfds": _tfds_version(),
    }
    return load_or_build(depends_on, build)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back warnings that TFDS addresses to its own developers."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _prepared_files(data_dir: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Files of all versions of the set, or none where no version is complete."""
    folder = data_dir / name.split(":")[0].split("/")[0]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return files if any(path.name == "dataset_info.json" for path in files) else []


def _tfds_version() -> str:
    # TFDS decides which of several prepared versions is read.
    for package in ("tensorflow-datasets", "tfds-nightly"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "absent"


def _open_builder(name: str, data_dir: pathlib.Path) -> Any:
    try:
        import importlib_resources  # TFDS needs it and does not ask for it

        del importlib_resources
        import_quietly("tensorflow")
        tfds = import_quietly("tensorflow_datasets")
    except ImportError as error:
        raise UserError(
            f"Reading the TFDS set {name} needs the package {error.name}; install tensorflow, "
            "tensorflow-datasets and importlib_resources with pip."
        ) from error
    tfds.disable_progress_bar()
    try:
        return tfds.builder(name, data_dir=os.fspath(data_dir))
    except Exception as error:  # TFDS has its own types for each way in which a name can be wrong
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise UserError(
            f"TFDS cannot open the set {name!r} with data in {data_dir} ({reason}); check data.source and "
            "data.data_dir."
        ) from error


def _is_prepared(builder: Any) -> bool:
    return os.path.exists(os.path.join(os.fspath(builder.data_path), "dataset_info.json"))


def _download(builder: Any, name: str, data_dir: pathlib.Path) -> None:
    reason = "no network"
    if _network_is_there():
        print(f"TFDS set {name} is not in {data_dir}; downloading it.", file=sys.stderr)
        try:
            builder.download_and_prepare()
            return
        except Exception as error:  # from refused connections to sets that must be fetched by hand
            reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    by_hand = (
        f'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', data_dir='DIR').download_and_prepare()\""
    )
    raise UserError(
        f"TFDS set {name} is not in {data_dir} and cannot be downloaded ({reason}); run {by_hand} on a "
        "machine with a network, copy DIR here, and give it as --data_dir or $TFDS_DATA_DIR."
    )


def _network_is_there() -> bool:
    try:
        with urllib.request.urlopen(_NETWORK_PROBE, timeout=_NETWORK_TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, whatever it says
    except (OSError, ValueError):
        return False
