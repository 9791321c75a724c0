"""Stopping between two steps when asked to: Ctrl-C, or SIGTERM from a scheduler."""

import signal
import threading
from typing import Any, Dict, Optional


class Interruption:
    """While entered, notes the first SIGINT or SIGTERM instead of acting on it; a second Ctrl-C acts at once.

    Attributes:
      received: the signal's number, or None.
    """

    def __init__(self):
        self.received: Optional[int] = None
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self  # Python lets only the main thread handle signals
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def raise_if_received(self, message: str) -> None:
        """Raises KeyboardInterrupt with the message after Ctrl-C, SystemExit 143 after SIGTERM."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.received == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("Interrupted.")
        self.received = number
