"""Starting the training again when its process died: what `bin/train --restarts=N` does. Needs no TensorFlow."""

import os
import signal
import subprocess
import sys
import time
from typing import Callable, List, Optional, Sequence

from hypertransformer_tf.parent_death import end_with_parent

LOST = 75  # a process's exit status when another of its cluster was lost, for the one that starts it again
SUPERVISOR = "HT_SUPERVISOR"
PAUSE_SECONDS = 1.0


def is_supervised() -> bool:
    """Whether this process was started by `run_with_restarts`."""
    return os.environ.get(SUPERVISOR) == str(os.getppid())


def shown_status(status: int) -> int:
    """The exit status that stands for another one: only who starts again needs to know a loss from other failures."""
    return 1 if status == LOST and not is_supervised() else status


def run_with_restarts(
    restarts: int,
    say: Callable[[str], None],
    command: Optional[Sequence[str]] = None,
    pause: float = PAUSE_SECONDS,
) -> int:
    """Runs a command, and again while it dies of a signal or of the loss of another process.

    Ctrl-C and SIGTERM are passed on, and nothing is started again after them. If this process is killed, the command
    is sent SIGTERM, where the system can do that (Linux).

    Args:
      restarts: how often it is started again at most.
      say: told why it is, or is not any more.
      command: this process's own if unset; that sees by `is_supervised` that it is the one to do the work.
      pause: seconds before it is started again.

    Returns:
      Its last exit status; 128 + the signal's number if it died of one.
    """
    command = [sys.executable, *sys.orig_argv[1:]] if command is None else command
    with _PassedOn() as signals:
        for started in range(restarts + 1):
            status = signals.run(command)
            if signals.received is not None or status in (-signal.SIGINT, -signal.SIGTERM):
                return 128 - status if status < 0 else status
            if status >= 0 and status != LOST:
                return status
            cause = "another worker was lost" if status == LOST else f"it died of {signal.Signals(-status).name}"
            if started < restarts:
                say(f"Training ended as {cause}; starting it again ({started + 1} of {restarts}).")
                signals.pause(pause)
        say(f"Training ended as {cause}, after {restarts} restarts (--restarts={restarts}).")
    return 1 if status == LOST else 128 - status


class _PassedOn:
    """While entered, Ctrl-C and SIGTERM go to the process that runs.

    It has a session of its own: a terminal sends Ctrl-C to all processes of one, and a second Ctrl-C acts at once.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._previous: List = []

    def __enter__(self) -> "_PassedOn":
        self._previous = [(number, signal.signal(number, self._pass_on)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)

    def run(self, command: Sequence[str]) -> int:
        """The exit status, negative for a signal."""
        if self.received is not None:
            return -self.received
        status = self._start(command).wait()
        self._process = None
        return status

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, SUPERVISOR: str(os.getpid())}
        process = self._process = subprocess.Popen(
            command, env=environment, start_new_session=True, preexec_fn=end_with_parent(signal.SIGTERM)
        )
        if self.received is not None:  # it came while the process was being started
            process.send_signal(self.received)
        return process

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.received is None and time.monotonic() < end:
            time.sleep(0.05)

    def _pass_on(self, number: int, frame: object) -> None:
        self.received = number
        if self._process is not None:
            self._process.send_signal(number)
