"""Saving beside training: a checkpoint is written on a thread while the next steps are computed."""

import concurrent.futures
import logging
from types import TracebackType
from typing import Callable, Optional, Type

from hypertransformer_tf.errors import SaveError


class BackgroundSave:
    """Does one save at a time on a thread of its own; used as a context manager, which waits for the last one.

    It may be entered again.

    What a save writes must not change while it is written: give it copies.
    """

    def __init__(self) -> None:
        self._thread: Optional[concurrent.futures.ThreadPoolExecutor] = None
        self._pending: Optional[concurrent.futures.Future] = None

    def __enter__(self) -> "BackgroundSave":
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="save")
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self.wait()
        except SaveError as failed:
            if error is None:
                raise
            logging.warning("%s", failed)  # what ended training is what the user has to read first
        finally:
            if self._thread is not None:
                self._thread.shutdown()
            self._thread = None

    def start(self, save: Callable[[], object]) -> None:
        """Begins a save once the one before is done.

        Raises:
          RuntimeError: outside the `with` block, where nobody would wait for it.
          Exception: what went wrong with the save before, such as SaveError.
        """
        if self._thread is None:
            raise RuntimeError("a save was begun outside the `with` block of BackgroundSave")
        self.wait()
        self._pending = self._thread.submit(save)

    def check(self) -> None:
        """Raises what went wrong with the last save, if it is done and that has not been raised yet."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Waits until the last save is done, and raises what went wrong with it if that has not been raised yet."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
