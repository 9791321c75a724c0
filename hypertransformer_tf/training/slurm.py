"""Which tasks a Slurm step has, and on which nodes.

TensorFlow's `SlurmClusterResolver` answers the same, but needs TensorFlow, which is seconds late for an error message;
has no tasks on nodes without GPUs; and sorts node names, so that node10 comes before node2 while Slurm's ranks do not.
"""

import re
from typing import Iterator, List, Mapping, Tuple

from hypertransformer_tf.errors import UserError

PORT = "HT_PORT"
DEFAULT_PORT = 8888
_DISTRIBUTION = "SLURM_DISTRIBUTION"  # srun sets it where it was asked for one
_NEEDED = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")


def addresses_and_index(environment: Mapping[str, str]) -> Tuple[Tuple[str, ...], int]:
    """host:port of every task in the order of its rank, and this task's rank.

    The first task of a node listens at the port HT_PORT (8888 if unset), the next one at the port after it.

    Raises:
      UserError: this is no task of a step, its variables cannot be read, or its ranks are neither blocks nor cyclic.
    """
    missing = [name for name in _NEEDED if name not in environment]
    if missing:
        raise UserError(f"{missing[0]} is not set: start the workers by srun, which makes one of every task.")
    port = environment.get(PORT, str(DEFAULT_PORT))
    if not port.isdecimal():
        raise UserError(f"{PORT}={port} is not right: give the number of a port.")
    index, tasks, nodelist, per_node = (environment[name] for name in _NEEDED)
    try:
        nodes = list(expand_nodes(nodelist))
        counts = expand_counts(per_node)
        rank = int(index)
        if len(nodes) != len(counts) or sum(counts) != int(tasks) or not 0 <= rank < int(tasks):
            raise ValueError("they do not agree")
    except ValueError as error:
        shown = ", ".join(f"{name}={environment[name]}" for name in _NEEDED)
        raise UserError(f"The variables of the Slurm step cannot be read ({error}): {shown}.") from None
    places = [(node, task) for node, count in zip(nodes, counts) for task in range(count)]
    if max(counts) > 1 and _is_cyclic(environment.get(_DISTRIBUTION, "block")):
        places.sort(key=lambda place: place[1])  # stable: the first task of every node, then the second of each
    return tuple(f"{node}:{int(port) + task}" for node, task in places), rank


def _is_cyclic(distribution: str) -> bool:
    """Whether ranks go round the nodes, rather than fill one after the other."""
    between_nodes = distribution.partition(",")[0].partition(":")[0]
    if between_nodes not in ("block", "cyclic"):
        raise UserError(
            f"{_DISTRIBUTION}={distribution}: the node of a rank cannot be told for it; start the workers by srun "
            "--distribution=block, or with one task per node."
        )
    return between_nodes == "cyclic"


def expand_nodes(text: str) -> Iterator[str]:
    """'gpu[01-03,7],login' to gpu01, gpu02, gpu03, gpu7, login. Raises ValueError."""
    parts = re.findall(r"([^\[\],]+)(?:\[([^\]]*)\])?(?:,|$)", text)
    whole = ",".join(prefix + (f"[{numbers}]" if numbers else "") for prefix, numbers in parts)
    if whole != text:
        raise ValueError(f"{text!r} is not a list of nodes")
    for prefix, numbers in parts:
        for part in numbers.split(",") if numbers else [None]:
            if part is None:
                yield prefix
                continue
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield f"{prefix}{number:0{len(first)}d}"


def expand_counts(text: str) -> List[int]:
    """'2(x3),1' to [2, 2, 2, 1]. Raises ValueError."""
    counts: List[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise ValueError(f"{text!r} is not a list of tasks per node")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts
