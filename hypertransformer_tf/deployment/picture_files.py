"""Finding and reading picture files: what lies in a folder, and the pictures one after another in bounded memory."""

import collections
import concurrent.futures
import os
import stat
import threading
import unicodedata
from typing import Iterable, Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np
from PIL import Image

from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

_DESKTOP_FILES = ("thumbs.db", "desktop.ini", "__macosx")
_THREADS = 4
_READ_AHEAD = 64  # pictures
_LARGE = 4_000_000  # pixels: so large ones are decoded one at a time
_COLOUR_CHECKS = 32  # files at most that are opened a second time to see whether they are colourful
_COLOURFUL = 16  # difference between channels, of 255, beyond what JPEG makes of grey


class ReadPicture(NamedTuple):
    """One file's picture (size, size, channels) uint8 fitted, not inverted; or the error, one sentence."""

    path: str
    image: Optional[np.ndarray]
    error: Optional[str]


def read_pictures(paths: Iterable[str], preprocessing: Preprocessing) -> Iterator[ReadPicture]:
    """Reads picture files in the order given, some ahead on threads.

    Args:
      paths: of files; taken as they are needed, so that there may be any number.
      preprocessing: size and channels.

    Yields:
      One `ReadPicture` for each path. A file that is no picture is no reason to stop.
    """
    one_large_at_a_time = threading.Lock()

    def read(path: str) -> ReadPicture:
        try:
            _check_regular(path)
            if _pixels_of(path) <= _LARGE:
                return ReadPicture(path, preprocessing.fit_file(path, shown(path)), None)
            with one_large_at_a_time:
                return ReadPicture(path, preprocessing.fit_file(path, shown(path)), None)
        except UserError as error:
            return ReadPicture(path, None, str(error))

    waiting: collections.deque = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
    try:
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) >= _READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def any_colourful(paths: Sequence[str]) -> bool:
    """Whether one of some files, spread evenly over all of them, is a colour picture that loses something in grey."""
    for place in np.linspace(0, len(paths) - 1, min(len(paths), _COLOUR_CHECKS)).astype(int):
        path = paths[place]
        try:
            _check_regular(path)
            with Image.open(path) as image:
                if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;"):
                    continue
            pixels = Preprocessing(image_size=64, channels=3).fit_file(path).astype(np.int16)
        except Exception:  # whatever is wrong with the file is said when it is read
            continue
        if np.ptp(pixels, axis=2).max() > _COLOURFUL:
            return True
    return False


def entries(folder: Union[str, os.PathLike]) -> list[str]:
    """Paths of what lies in a folder in the order of the names, without hidden files and those desktops leave behind.

    Raises:
      UserError: the folder cannot be read.
    """
    folder = os.fspath(folder)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{shown(folder)} cannot be read ({error.strerror}).") from error
    return [
        os.path.join(folder, name) for name in names if not name.startswith(".") and name.lower() not in _DESKTOP_FILES
    ]


def find_pictures(path: str) -> list[str]:
    """The file itself, or all files below a folder in the order of their paths.

    Links are followed, but into no folder twice, so that a loop of links ends.

    Raises:
      UserError: there is nothing of this name, or a folder cannot be read.
    """
    if not os.path.lexists(path):
        raise UserError(f"{shown(path)} does not exist: give picture files, or folders of them.")
    return list(_below(path, set()))


def folded_name(name: str) -> str:
    """A key that is equal for names that some file systems do not tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def shown(name: str) -> str:
    """A file's or class's name as it can be printed: control characters and undecodable bytes become escapes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def _below(path: str, entered: set[tuple[int, int]]) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    status = os.stat(path)
    if (status.st_dev, status.st_ino) in entered:
        return
    entered.add((status.st_dev, status.st_ino))
    for entry in entries(path):
        yield from _below(entry, entered)


def _check_regular(path: str) -> None:
    """Refuses what is no regular file: opening a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read ({error.strerror}); replace or remove it.") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise UserError(f"{shown(path)} is {kind}; replace or remove it.")


def _pixels_of(path: str) -> int:
    """How many pixels the file's header names; 0 where it names none, which the decoder then says in its words."""
    try:
        with Image.open(path) as image:
            return image.width * image.height
    except Exception:  # Pillow raises a dozen different types on damaged input.
        return 0
