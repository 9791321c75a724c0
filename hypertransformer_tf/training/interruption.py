"""Stopping when asked to: Ctrl-C, or SIGTERM from a scheduler; between two steps, or in a validation."""

import contextlib
import signal
import threading
from types import TracebackType
from typing import Any, Dict, Iterator, Optional, Type

from hypertransformer_tf.training.peers import Peers


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside, the first SIGTERM raises SystemExit 143, so that what is open is closed and others are told; more of
    them are ignored: a scheduler's may come twice, from itself and through a parent.

    For a program that is ours alone: a library leaves the signals as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class Interruption:
    """While entered, notes the first SIGINT or SIGTERM instead of acting on it; a second Ctrl-C acts at once.

    One that came too late for `due` and `is_agreed` acts when this is left without an error, as it would have without.

    Args:
      peers: the other processes, all of which stop at the same step if one of them received a signal.
      every: steps between two questions to them.

    Attributes:
      received: the signal's number, or None.
    """

    def __init__(self, peers: Optional[Peers] = None, every: int = 1):
        self._peers, self._every = peers or Peers.alone(), every
        self.received: Optional[int] = None
        self._agreed: Optional[int] = None
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self  # Python lets only the main thread handle signals
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if kind is None and self.received is not None and self._agreed is None:
            signal.raise_signal(self.received)

    def due(self, step: int, ask: bool = False) -> bool:
        """Whether to stop after this step; all processes make this call after every step, with the same answer in all.

        With several of them a signal is heard of every `every` steps, and where all `ask`.
        """
        if not self._peers.are_there:
            self._agreed = self.received
        elif ask or step % self._every == 0:
            self._agreed = self._peers.agree_to_stop(self.received)
        return self._agreed is not None

    def is_agreed(self) -> bool:
        """Whether to stop in the middle of what follows a step, such as a validation.

        With several processes only what `due` agreed before counts: to ask, all of them must be at the same point.
        """
        if not self._peers.are_there:
            self._agreed = self.received
        return self._agreed is not None

    def raise_if_received(self, message: str) -> None:
        """If a stop was agreed, raises KeyboardInterrupt with the message for Ctrl-C, SystemExit 143 for SIGTERM."""
        if self._agreed == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self._agreed == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("Interrupted.")
        self.received = number
