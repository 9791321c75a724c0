"""Writing a file so that it is there whole or not at all, whatever stops the process or fills the disk."""

import os
import pathlib

_SUFFIX = ".partial"


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Writes beside `path`, makes sure it is on the disk, and renames it into place.

    Raises:
      OSError: it could not be written; what `path` held before is untouched and nothing is left over.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_partial_files(folder: pathlib.Path) -> None:
    """Removes what writers that were killed left behind. Only the folder's one writer may call this."""
    for partial in folder.glob(f".*{_SUFFIX}"):
        partial.unlink(missing_ok=True)


def is_partial(path: pathlib.Path) -> bool:
    """Whether a file is one that was being written when its process ended."""
    return path.name.startswith(".") and path.name.endswith(_SUFFIX)


def _sync_folder(folder: pathlib.Path) -> None:
    # The rename itself is durable only once the folder is; some file systems cannot sync folders.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
