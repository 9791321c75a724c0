"""How the processes of a cluster find each other, before TensorFlow is imported.

The chief listens at its own address of the cluster and closes that port when all are there, for TensorFlow's server to
take it; the connections made meanwhile stay. So no further port is needed, and what is wrong is said at once.
"""

import os
import socket
import time
from typing import Any, Callable, Dict, Mapping, Optional

from hypertransformer_tf.errors import LostWorkerError, UserError
from hypertransformer_tf.training.cluster import Cluster, host_and_port
from hypertransformer_tf.training.frames import Connection, Frame, NotOurs

SECONDS = "HT_CLUSTER_SECONDS"
DEFAULT_SECONDS = 300.0
_SAY_AFTER, _HELLO_SECONDS, _RETRY_SECONDS = 10.0, 5.0, 0.1

Greeting = Mapping[str, Any]
Refusal = Callable[[Greeting], Optional[str]]


def seconds_to_wait(default: float = DEFAULT_SECONDS) -> float:
    """How long processes wait for each other: HT_CLUSTER_SECONDS, or `default` where it is unset. Raises UserError."""
    given = os.environ.get(SECONDS)
    try:
        seconds = default if given is None else float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"{SECONDS}={given} is not right: give a number of seconds above 0.")
    return seconds


def meet_workers(
    cluster: Cluster, refusal: Refusal, seconds: float, say: Callable[[str], None]
) -> Dict[int, Connection]:
    """The chief's part: a connection to every worker, by index.

    Args:
      cluster: of which this process is the chief.
      refusal: why a worker with such a greeting cannot take part, or None if it can.
      seconds: to wait.
      say: told whom it waits for, after ten seconds.

    Raises:
      UserError: a worker was refused (it is told, and so are the others), or the port is taken.
      LostWorkerError: not all came in time.
      KeyboardInterrupt, SystemExit: on Ctrl-C and SIGTERM; those who have come are told, and raise the same.
    """
    waiting = _Waiting(seconds, say)
    met: Dict[int, Connection] = {}
    try:
        with _listener(cluster.addresses[0]) as listener:
            while True:
                absent = _absent(cluster, met)
                if not absent:
                    break
                waiting.for_these([cluster.name(index) for index in absent])
                _accept(listener, cluster, refusal, met)
        for connection in met.values():
            connection.send(Frame({"kind": "welcome"}))
        return met
    except BaseException as error:
        stopped = _signal_status(error)
        text = (str(error) if stopped is None else "") or "The chief does not wait any longer."
        told = {"kind": "refused", "text": text, "final": isinstance(error, UserError), "stopped": stopped}
        for connection in met.values():
            _try_send(connection, told)
            connection.close()
        if isinstance(error, OSError):
            raise LostWorkerError(f"A worker was lost before training began: {error}.") from None
        raise


def meet_chief(cluster: Cluster, greeting: Greeting, seconds: float, say: Callable[[str], None]) -> Connection:
    """A worker's part: the connection to the chief.

    Args:
      cluster: of which this process is not the chief.
      greeting: what the chief compares with its own.
      seconds, say: as above.

    Raises:
      UserError: the chief refused this process or another one.
      LostWorkerError: the chief did not come in time, or not all of the others did.
      KeyboardInterrupt, SystemExit: the chief was asked to stop by Ctrl-C or SIGTERM while it waited.
    """
    waiting = _Waiting(seconds, say)
    while True:
        waiting.for_these([cluster.name(0)])
        try:
            connection = Connection(socket.create_connection(host_and_port(cluster.addresses[0]), _HELLO_SECONDS))
        except OSError:  # it is not there yet, nor perhaps its name
            time.sleep(_RETRY_SECONDS)
            continue
        try:
            connection.send(Frame({"kind": "hello", "index": cluster.index, "greeting": dict(greeting)}))
            answer = connection.receive(seconds + _HELLO_SECONDS).header
        except (OSError, NotOurs):  # the chief of a run that ended, or TensorFlow's server of one that is about to
            connection.close()
            time.sleep(_RETRY_SECONDS)
            continue
        if answer.get("kind") == "welcome":
            return connection
        connection.close()
        text = str(answer.get("text"))
        if answer.get("stopped") == 130:
            raise KeyboardInterrupt(text)
        if answer.get("stopped") == 143:
            raise SystemExit(143)
        raise UserError(text) if answer.get("final") else LostWorkerError(text)


def _signal_status(error: BaseException) -> Optional[int]:
    """The exit status of who is asked to stop by Ctrl-C or SIGTERM, None for another error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 143 if isinstance(error, SystemExit) and error.code == 143 else None


class _Waiting:
    def __init__(self, seconds: float, say: Callable[[str], None]):
        self._began, self._seconds, self._say = time.monotonic(), seconds, say
        self._said = False

    def for_these(self, names: list) -> None:
        """Says so once, and raises LostWorkerError when it has been too long."""
        passed = time.monotonic() - self._began
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        if passed >= self._seconds:
            raise LostWorkerError(
                f"Of the cluster, {shown} did not come within {self._seconds:.0f} s ({SECONDS}): start all of its "
                "processes at about the same time."
            )
        if passed >= min(_SAY_AFTER, self._seconds / 2) and not self._said:
            self._said = True
            self._say(f"Waiting for {shown}.")


def _listener(address: str) -> socket.socket:
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("", port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"Port {port} of the chief's address {address} cannot be used ({error.strerror or error}): end what uses "
            "it, or give the cluster another."
        ) from None
    listener.listen(1024)
    listener.settimeout(0.2)
    return listener


def _accept(listener: socket.socket, cluster: Cluster, refusal: Refusal, met: Dict[int, Connection]) -> None:
    try:
        accepted, _ = listener.accept()
    except OSError:  # nobody came
        return
    accepted.setblocking(True)
    connection = Connection(accepted)
    try:
        header = connection.receive(_HELLO_SECONDS).header
    except (OSError, NotOurs):
        connection.close()
        return
    index: Any = header.get("index")  # as yet whatever a stranger sent
    greeting = header.get("greeting")
    if not isinstance(index, int) or not isinstance(greeting, dict) or not 0 < index < len(cluster.addresses):
        text: Optional[str] = f"The cluster's chief has no place for a worker {index}: it knows {cluster.addresses}."
    elif index in met:
        text = f"There is a {cluster.name(index)} already: give every process an index of its own."
    else:
        problem = refusal(greeting)
        text = problem and f"The {cluster.name(index)} cannot take part: {problem}"
    if text is None:
        met[index] = connection
        return
    _try_send(connection, {"kind": "refused", "text": text, "final": True})
    connection.close()
    if index not in met:
        raise UserError(text)


def _absent(cluster: Cluster, met: Dict[int, Connection]) -> list:
    """Indices of those who are not there, or not any more."""
    for index, connection in list(met.items()):
        try:
            closed = not connection.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            closed = False
        except OSError:
            closed = True
        if closed:
            met.pop(index).close()
    return [index for index in range(1, len(cluster.addresses)) if index not in met]


def _try_send(connection: Connection, header: Dict[str, Any]) -> None:
    try:
        connection.send(Frame(header))
    except OSError:
        pass
