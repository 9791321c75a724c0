"""Clusters of a few processes on this machine."""

import contextlib
import json
import socket
import subprocess
from typing import Any, Iterator, List, Optional, Sequence

from small_runs import start_command


def free_ports(count: int) -> List[int]:
    """Ports that nobody listens at now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def tf_config(ports: Sequence[int], index: int) -> str:
    """TF_CONFIG of one of the processes."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


@contextlib.contextmanager
def cluster(
    count: int, *flags: Any, own_flags: Sequence[Sequence[Any]] = (), ports: Optional[Sequence[int]] = None
) -> Iterator[List[subprocess.Popen]]:
    """bin/train in so many processes, which are killed at the end if they have not ended.

    Args:
      count: of processes.
      flags: of all of them.
      own_flags: of each, in addition.
      ports: they use; free ones if unset.
    """
    ports = free_ports(count) if ports is None else ports
    processes = []
    try:
        for index in range(count):
            environment = {"TF_CONFIG": tf_config(ports, index), "CUDA_VISIBLE_DEVICES": "-1"}
            own = own_flags[index] if own_flags else ()
            processes.append(start_command("train", "--strategy=multi_worker", *flags, *own, environment=environment))
        yield processes
    finally:
        for process in processes:
            with process:
                if process.poll() is None:
                    process.kill()
                for stream in (process.stdout, process.stderr):
                    if not stream.closed:
                        stream.read()


def ends(processes: Sequence[subprocess.Popen], seconds: float = 300.0) -> List[subprocess.CompletedProcess]:
    """What became of each: status, standard output and standard error."""
    done = []
    for process in processes:
        out, err = process.communicate(timeout=seconds)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done
