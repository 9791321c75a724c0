"""Stopping between two steps when asked to: Ctrl-C, or SIGTERM from a scheduler."""

import signal
import threading
from typing import Any, Dict, Optional

from hypertransformer_tf.training.peers import Peers


class Interruption:
    """While entered, notes the first SIGINT or SIGTERM instead of acting on it; a second Ctrl-C acts at once.

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

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def due(self, step: int, last: bool = False) -> bool:
        """Whether to stop after this step; all processes ask after every step, and the answer is the same in all."""
        if not self._peers.are_there:
            self._agreed = self.received
        elif last or step % self._every == 0:
            self._agreed = self._peers.agree_to_stop(self.received)
        return self._agreed is not None

    def raise_if_received(self, message: str) -> None:
        """Raises KeyboardInterrupt with the message after Ctrl-C, SystemExit 143 after SIGTERM, if `due` said so."""
        if self._agreed == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self._agreed == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("Interrupted.")
        self.received = number
