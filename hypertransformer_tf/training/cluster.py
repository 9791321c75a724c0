"""Which processes train together under `--strategy=multi_worker`, read from the environment without TensorFlow."""

import dataclasses
import json
import os
from typing import Any, Mapping, Optional, Tuple

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training import slurm

_LIKE = """{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}"""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a cluster.

    Attributes:
      addresses: host:port of each, the same tuple in all of them; the first is the chief's, which owns the run.
      index: this process's.
    """

    addresses: Tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process owns the run."""
        return self.index == 0

    def name(self, index: int) -> str:
        """How messages call a process."""
        return f"worker {index} ({self.addresses[index]})"


def read_cluster(environment: Optional[Mapping[str, str]] = None) -> Cluster:
    """The cluster of TF_CONFIG or, without it, of the Slurm step that this process is a task of.

    Args:
      environment: os.environ if unset.

    Raises:
      UserError: neither is there, or it does not say who takes part.
    """
    environment = os.environ if environment is None else environment
    if "TF_CONFIG" in environment:
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_JOB_ID" in environment:
        return _checked("Slurm", *slurm.addresses_and_index(environment))
    raise UserError(
        "--strategy=multi_worker needs the environment variable TF_CONFIG, which names the workers, or a Slurm step "
        f"(srun): TF_CONFIG looks like {_LIKE}, with an index of its own in every process."
    )


def host_and_port(address: str) -> Tuple[str, int]:
    """The two parts of 'host:port'; IPv6 hosts stand in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _of_tf_config(text: str) -> Cluster:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON ({error}): it must look like {_LIKE}.") from None
    jobs = _member(given, "cluster")
    if not isinstance(jobs, dict) or not jobs:
        raise UserError(f"TF_CONFIG names no workers (it has no 'cluster'): it must look like {_LIKE}.")
    others = sorted(set(jobs) - {"chief", "worker"})
    if others:
        raise UserError(
            f"TF_CONFIG has processes of the type {others[0]!r}: --strategy=multi_worker knows chief and worker only."
        )
    chiefs, workers = (_addresses(jobs, job) for job in ("chief", "worker"))
    if len(chiefs) > 1:
        raise UserError(f"TF_CONFIG names {len(chiefs)} chiefs: there is one at most.")
    task = _member(given, "task")
    kind, index = _member(task, "type"), _member(task, "index")
    if kind is None or index is None:
        raise UserError(
            "TF_CONFIG does not say which of the workers this process is (it has no 'task' with 'type' and 'index'): "
            f"it must look like {_LIKE}, with an index of its own in every process."
        )
    members = {"chief": chiefs, "worker": workers}.get(kind if isinstance(kind, str) else "", ())
    if not _is_index(index, len(members)):
        raise UserError(
            f"TF_CONFIG says this process is {kind} {index}, and its cluster has {len(members)} of that type."
        )
    return _checked("TF_CONFIG", chiefs + workers, int(index) + (len(chiefs) if kind == "worker" else 0))


def _is_index(index: Any, count: int) -> bool:
    # Some schedulers write it as a string.
    number = int(index) if isinstance(index, str) and index.isdecimal() else index
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < count


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _addresses(jobs: Mapping[str, Any], job: str) -> Tuple[str, ...]:
    given = jobs.get(job, [])
    if not isinstance(given, list):
        raise UserError(f"TF_CONFIG gives {given!r} for {job!r}: give a list of host:port.")
    return tuple(map(str, given))


def _can_be_looked_up(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:  # an empty label, or one that is too long
        return False


def _checked(source: str, addresses: Tuple[str, ...], index: int) -> Cluster:
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not _can_be_looked_up(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"{source} names the address {address!r}: give host:port, with a port from 1 to 65535.")
    twice = [address for address in addresses if addresses.count(address) > 1]
    if twice:
        raise UserError(f"{source} names {twice[0]} twice: every process needs an address of its own.")
    return Cluster(addresses, index)
