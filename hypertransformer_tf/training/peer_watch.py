"""Notices that another process of the cluster is gone, and ends this one.

A killed process closes its connections at once; a machine that vanished sends no beats any more. Without the watch a
collective waits for ever for a process that lives but takes no part, and the main thread cannot be interrupted in it.
"""

import logging
import os
import queue
import selectors
import sys
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from hypertransformer_tf.quiet_import import standard_error
from hypertransformer_tf.training.cluster import Cluster
from hypertransformer_tf.training.frames import Connection, Frame, NotOurs
from hypertransformer_tf.training.restarts import LOST, shown_status


class Timing(NamedTuple):
    """Seconds between signs of life; without one until a process counts as lost; for this process to stop then."""

    beat: float = 5.0
    silence: float = 48.0
    grace: float = 6.0  # with the silence, less than a minute


class End(NamedTuple):
    """Why the processes must stop: an exit status, what was said, and which of them said it."""

    status: int
    text: str
    origin: int

    def frame(self) -> Frame:
        """What the other processes are sent."""
        return Frame({"kind": "ended", **self._asdict()})

    def sentence(self, cluster: Cluster) -> str:
        """What the others' users are told."""
        if self.status == LOST or self.status == 130 and self.text:
            return self.text
        return f"{_title(cluster, self.origin)} stopped" + (f": {self.text}" if self.text else ".")


class PeerWatch:
    """A thread that reads all connections.

    Args:
      cluster, connections, leave, timing: as for `Peers`.

    Attributes:
      inbox: data that came, by sender.
      end: why this process is to stop, or None; `ended` is set with it. If it has not begun to do so within
        `timing.grace`, the thread calls `leave`.
      closing: set by the main thread when it stops by itself.
      all_gone: set when every connection was closed by its other end.
    """

    def __init__(
        self,
        cluster: Cluster,
        connections: Dict[int, Connection],
        leave: Callable[[int, str], None],
        timing: Timing,
    ):
        self._cluster, self._connections, self._leave, self._timing = cluster, connections, leave, timing
        self.inbox: Dict[int, "queue.Queue[Frame]"] = {index: queue.Queue() for index in connections}
        self.end: Optional[End] = None
        self.ended, self.closing, self.all_gone = threading.Event(), threading.Event(), threading.Event()
        self._ended_at = 0.0
        self._open = set(connections)

    def start(self) -> None:
        """Begins to watch, if there is anybody."""
        if self._connections:
            threading.Thread(target=self._watch, name="peers", daemon=True).start()

    def _watch(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                for index, connection in self._connections.items():
                    selector.register(connection.socket, selectors.EVENT_READ, index)
                    self._take_in(index, connection.parse())
                self._loop(selector)
        except Exception as error:
            if self.closing.is_set():  # its sockets were closed under it
                return
            logging.exception("The other workers are not watched any more.")
            self._stop(End(LOST, f"The other workers cannot be watched ({error}): start all of them again.", -1))
            if not self.closing.wait(self._timing.grace):
                self._leave(shown_status(LOST), self.end.text if self.end else "")

    def _loop(self, selector: selectors.BaseSelector) -> None:
        beaten = time.monotonic()
        heard = dict.fromkeys(self._connections, beaten)
        while self._open:
            for key, _ in selector.select(min(self._timing.beat, 0.5)):
                try:
                    self._take_in(key.data, self._connections[key.data].read())
                    heard[key.data] = time.monotonic()
                except (OSError, NotOurs) as error:
                    selector.unregister(key.fileobj)
                    self._open.discard(key.data)
                    self._lost(key.data, str(error))
            now = time.monotonic()
            if now - beaten >= self._timing.beat:
                beaten = now
                self._tell(Frame({"kind": "beat"}))
            for index in self._open:
                if now - heard[index] > self._timing.silence:
                    self._lost(index, f"no sign of life for {now - heard[index]:.0f} s")
            if self.end is not None and not self.closing.is_set() and now - self._ended_at > self._timing.grace:
                self._leave(shown_status(self.end.status), self.end.sentence(self._cluster))
                return
        self.all_gone.set()
        # The main thread may hang in a collective with nobody left to read from.
        if not self.closing.wait(self._timing.grace) and self.end is not None:
            self._leave(shown_status(self.end.status), self.end.sentence(self._cluster))

    def _take_in(self, index: int, frames: List[Frame]) -> None:
        for frame in frames:
            header = frame.header
            if header.get("kind") == "data":
                self.inbox[index].put(frame)
            elif header.get("kind") == "ended":
                self._stop(End(int(header["status"]), str(header["text"]), int(header["origin"])))

    def _lost(self, index: int, how: str) -> None:
        text = f"{_title(self._cluster, index)} was lost ({how}), so training stopped: start all workers again to go on"
        self._stop(End(LOST, f"{text} from the last checkpoint.", index))

    def _stop(self, end: End) -> None:
        if self.end is not None or self.closing.is_set():
            return
        self._ended_at = time.monotonic()
        self.end = end
        self.ended.set()
        if self._cluster.is_chief:
            self._tell(end.frame())

    def _tell(self, frame: Frame) -> None:
        for index in self._open:
            try:
                self._connections[index].send_if_free(frame)
            except OSError:  # the next read says so
                pass


def leave_now(status: int, text: str) -> None:
    """Says the sentence and ends the process at once, wherever its other threads are."""
    show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a progress bar hides it
    os.write(standard_error(), f"{show_cursor}{text}\n".encode())
    os._exit(status)


def _title(cluster: Cluster, index: int) -> str:
    name = cluster.name(index)
    return name[0].upper() + name[1:]
