"""The files that a classifier's card lists: whether those that are there are the ones that were written.

A format that is not there is no damage: one deletes what is not used. One that was changed is, or of which a part is
gone or was added.
"""

import pathlib
from typing import Any, List, Mapping, Optional

from hypertransformer_tf.runs.content_hash import file_sha256


def changed_file(directory: pathlib.Path, files: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with the listed files of a directory, in words; None if nothing is.

    Args:
      directory: the classifier's.
      files: the card's `files`: {path with '/': {"sha256": ...}}.

    Raises:
      OSError: a file cannot be read.
      TypeError, KeyError, AttributeError: `files` is not as it was written.
    """
    for name, listed in files.items():
        parts = pathlib.PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            return f"the card lists {name!r}, which is not in it"
        path = directory / name
        if path.is_file():
            if file_sha256(path) != listed["sha256"]:
                return f"{name} is not the file that card.json names, its SHA-256 differs"
        elif (directory / parts[0]).exists():
            return f"{name} is not there, though {parts[0]} is"
    added = _unlisted(directory, files)
    return f"{added[0]} was added" if added else None


def _unlisted(directory: pathlib.Path, files: Mapping[str, Any]) -> List[str]:
    """Files in the listed folders (such as savedmodel) that are not listed: their loader might take them instead."""
    folders = {name.partition("/")[0] for name in files if "/" in name}
    found = [path for folder in sorted(folders) for path in sorted((directory / folder).rglob("*")) if path.is_file()]
    return [name for name in (path.relative_to(directory).as_posix() for path in found) if name not in files]
