"""What the processes of a cluster tell each other while they train.

Gradients go through TensorFlow's collectives. All else (the checkpoint to begin from, accuracies, that somebody was
interrupted) goes over connections between the chief and each worker, which `peer_watch.py` watches.
"""

import queue
from types import TracebackType
from typing import Any, Callable, Dict, List, NoReturn, Optional, Type

from hypertransformer_tf.errors import LostWorkerError, StoppedWorkerError, UserError
from hypertransformer_tf.training.cluster import Cluster
from hypertransformer_tf.training.frames import Connection, Frame
from hypertransformer_tf.training.peer_watch import End, PeerWatch, Timing, leave_now
from hypertransformer_tf.training.restarts import LOST


class Peers:
    """The other processes of a cluster; `with` watches them and tells them how this process ended.

    All processes make the same calls of `broadcast`, `gather`, `wait_for_all` and `agree_to_stop` in the same order.
    Where another process ended, these raise what it raised.

    Args:
      cluster: the processes; without any others, nothing is sent and every call gives back what it got.
      connections: the chief's to every worker by index, or a worker's to the chief: {0: ...}.
      leave: ends the process with a status and a sentence; replaced in tests.
      timing: of the watch.
    """

    def __init__(
        self,
        cluster: Cluster,
        connections: Optional[Dict[int, Connection]] = None,
        leave: Callable[[int, str], None] = leave_now,
        timing: Timing = Timing(),
    ):
        self.cluster = cluster
        self._connections = dict(connections or {})
        self._watch = PeerWatch(cluster, self._connections, leave, timing)
        self._timing, self._stop_agreed = timing, False

    @classmethod
    def alone(cls) -> "Peers":
        """Of a process that trains by itself."""
        return cls(Cluster(("this process",), 0))

    @property
    def is_chief(self) -> bool:
        """Whether this process owns the run."""
        return self.cluster.is_chief

    @property
    def are_there(self) -> bool:
        """Whether there are other processes."""
        return bool(self._connections)

    def broadcast(self, value: Any = None, payload: bytes = b"") -> Frame:
        """The chief's JSON-able `value` (in the frame's header) and bytes, in every process; workers give nothing."""
        frame = Frame({"kind": "data", "value": value}, payload)
        if not self.is_chief:
            return self._take(0)
        for index in self._connections:
            self._send(index, frame)
        return frame

    def gather(self, value: Any) -> List[Any]:
        """The JSON-able values of all processes by index in the chief, in the others an empty list."""
        if not self.is_chief:
            self._send(0, Frame({"kind": "data", "value": value}))
            return []
        return [value, *(self._take(index).header["value"] for index in sorted(self._connections))]

    def wait_for_all(self) -> None:
        """Returns once all processes have made this call."""
        self.gather(None)
        self.broadcast()

    def agree_to_stop(self, signal_number: Optional[int]) -> Optional[int]:
        """The first signal that any of the processes received, the same in all of them, or None."""
        received = [int(number) for number in self.gather(signal_number) if number]
        agreed = self.broadcast(received[0] if received else None).header["value"]
        self._stop_agreed = agreed is not None
        return agreed

    def explain(self, error: BaseException) -> NoReturn:
        """Raises what stands behind an error of a collective: that a process is gone, if one is."""
        if not self._connections:
            raise error
        self.await_end()
        lines = str(error).strip().splitlines()
        told = next((line for line in lines if "Collective ops" in line), lines[0] if lines else "").rstrip(":")
        raise LostWorkerError(f"The workers cannot reach each other any more ({told}): start all of them again.")

    def await_end(self) -> None:
        """Raises what another process raised, if one ends within the next seconds."""
        if self._connections:
            self._watch.ended.wait(self._timing.grace)
            self._raise_if_ended()

    def check(self) -> None:
        """Raises what another process raised, if one ended: for long work without a word to them."""
        self._raise_if_ended()

    def __enter__(self) -> "Peers":
        self._watch.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if not self._connections:
            return
        together = kind is None or self._stop_agreed
        try:
            if together and not self.is_chief:
                # The chief writes what there is to write; this process ends when that is done.
                self._watch.ended.wait()
        except (KeyboardInterrupt, SystemExit) as stopped:
            error, together = stopped, False
            raise
        finally:
            self._close(error, together)
        end = self._watch.end
        if kind is None and not self.is_chief and end is not None and end.status != 0:
            self._raise_if_ended()  # nothing is done before the chief has done its part

    def _close(self, error: Optional[BaseException], together: bool) -> None:
        self._watch.closing.set()
        if self.is_chief or not together:
            # What ended this process, if another one did: its watch may not have passed that on yet.
            self._tell(self._watch.end or _end_of(self.cluster.index, error))
        if together and self.is_chief:
            self._watch.all_gone.wait(self._timing.grace)  # TensorFlow's service is in this process: it goes last
        for connection in self._connections.values():
            connection.close()

    def _tell(self, end: End) -> None:
        for connection in self._connections.values():
            try:
                connection.send(end.frame())
            except OSError:  # it is gone already
                pass

    def _send(self, index: int, frame: Frame) -> None:
        self._raise_if_ended()
        try:
            self._connections[index].send(frame)
        except OSError as error:
            self.explain(error)

    def _take(self, index: int) -> Frame:
        while True:
            try:
                # A worker's last words come after what it sent before.
                return self._watch.inbox[index].get(timeout=0.5)
            except queue.Empty:
                self._raise_if_ended()

    def _raise_if_ended(self) -> None:
        end = self._watch.end
        if end is None:
            return
        if end.status == LOST:
            raise LostWorkerError(end.text)
        if end.status in (0, 143):
            raise SystemExit(end.status)
        raise {2: UserError, 130: KeyboardInterrupt}.get(end.status, StoppedWorkerError)(end.sentence(self.cluster))


def _end_of(index: int, error: Optional[BaseException]) -> End:
    """What the others are to be told about how this process ended."""
    if error is None:
        return End(0, "", index)
    if isinstance(error, SystemExit):
        return End(error.code if isinstance(error.code, int) else 1, "", index)
    statuses = ((LostWorkerError, LOST), (UserError, 2), (KeyboardInterrupt, 130))
    status = next((status for kind, status in statuses if isinstance(error, kind)), 1)
    return End(status, str(error) or type(error).__name__, index)
