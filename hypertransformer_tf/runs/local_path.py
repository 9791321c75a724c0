"""Directories are local ones: what guards a run (a lock, fsync, renaming) an object store does not have."""

import os
import pathlib
import re
from typing import Union

from hypertransformer_tf.errors import UserError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local_path(path: Union[str, os.PathLike]) -> pathlib.Path:
    """The path, if it is one of a file system.

    Raises:
      UserError: it begins with `scheme://`, which `pathlib` would take for a local folder named `scheme:`.
    """
    if _SCHEME.match(os.fspath(path)):
        raise UserError(
            f"{os.fspath(path)} is not a local directory: give one, and copy it there afterwards or from there before, "
            "or mount that place as a folder."
        )
    return pathlib.Path(path)
