"""Writing a directory so that it appears complete or not at all."""

import contextlib
import os
import pathlib
import shutil
from typing import Iterator, Union

from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs.local_path import local_path


def check_can_be_written(directory: Union[str, os.PathLike], marker: str, overwrite: bool = False) -> None:
    """Refuses what `whole_directory` would refuse; for a look before long work. Writes nothing.

    Raises:
      UserError: see `whole_directory`.
    """
    path = pathlib.Path(os.path.abspath(local_path(directory)))
    if os.path.lexists(path):
        if not overwrite:
            raise UserError(f"{shown(str(directory))} exists already: choose another place, or say overwrite.")
        if path.is_symlink() or not path.is_dir() or not ((path / marker).is_file() or not os.listdir(path)):
            raise UserError(
                f"{shown(str(directory))} is not overwritten, as it holds no {marker} and so is something else: choose "
                "another place."
            )
    existing = path.parent
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{shown(str(directory))} cannot be written in {shown(str(existing))}: choose another place.")


@contextlib.contextmanager
def whole_directory(directory: Union[str, os.PathLike], marker: str, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """Gives a new folder to write into, which takes the place of `directory` at the end of the `with` block.

    If the block raises, everything it wrote is removed and what was there before is untouched.

    Args:
      directory: parents are made.
      marker: a file that every directory of this kind holds: only such a one, or an empty one, is overwritten.
      overwrite: whether an existing one may be replaced.

    Raises:
      UserError: it is not a local one, exists and is not to be overwritten, holds something else, or nothing can be
        written there.
      SaveError: the disk is full or cannot be written.
    """
    check_can_be_written(directory, marker, overwrite)
    path = pathlib.Path(os.path.abspath(directory))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(partial, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
    except OSError as error:
        raise SaveError(f"{shown(str(directory))} could not be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
