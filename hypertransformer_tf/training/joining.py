"""Becoming one run: the processes of a cluster meet, make sure that they would do the same, and begin alike."""

import importlib.metadata
import json
import logging
import pathlib
from typing import Any, Mapping, Optional

import safetensors.numpy

import hypertransformer_tf
from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.runs.data_record import DataRecord, data_changes
from hypertransformer_tf.runs.run_configuration import Configuration, differences
from hypertransformer_tf.training.cluster import read_cluster
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.rendezvous import Greeting, meet_chief, meet_workers, seconds_to_wait

_SHOWN = 4


def join(strategy_name: str, configuration: Configuration, data: DataRecord) -> Peers:
    """The other processes of the cluster, once all are there; none unless the strategy is `multi_worker`.

    Args:
      strategy_name: of `strategy_names.STRATEGIES`.
      configuration: of `config_record.effective_configuration`; the same in all processes, training.steps included.
      data: of `data_record.describe_data`; likewise.

    Raises:
      UserError: the environment names no cluster, or a process of it would do something else.
      LostWorkerError: not all came in time.
    """
    if strategy_name != "multi_worker":
        return Peers.alone()
    cluster, seconds = read_cluster(), seconds_to_wait()
    greeting = json.loads(json.dumps(_greeting(cluster.addresses, configuration, data)))
    if not cluster.is_chief:
        return Peers(cluster, {0: meet_chief(cluster, greeting, seconds, logging.warning)})
    return Peers(cluster, meet_workers(cluster, lambda other: refusal(greeting, other), seconds, logging.warning))


def refusal(chief: Greeting, worker: Greeting) -> Optional[str]:
    """Why a worker cannot train with the chief, from what both said of themselves; None if it can."""
    for name, meaning in (("addresses", "another cluster"), ("versions", "other versions")):
        if chief.get(name) != worker.get(name):
            return f"it has {meaning} than the chief ({worker.get(name)} instead of {chief.get(name)})."
    ours, theirs = chief["configuration"], worker.get("configuration") or {}
    changed = differences(ours, theirs)
    steps = [_value(each, "training", "steps") for each in (ours, theirs)]
    changed += [f"training.steps: {steps[0]} -> {steps[1]}"] if steps[0] != steps[1] else []
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        return f"it has another configuration than the chief ({', '.join(changed[:_SHOWN])}{more}): start all alike."
    changed = data_changes(chief["data"], worker["data"])
    return f"it has other data than the chief ({changed[0]}): give all the same." if changed else None


def share_checkpoint(peers: Peers, checkpoint: Optional[Checkpoint]) -> Optional[Checkpoint]:
    """The chief's checkpoint, in every process: others need no file system in common with it. Workers give None."""
    if not peers.are_there:
        return checkpoint
    told, payload = None, b""
    if checkpoint is not None:
        told = {"path": str(checkpoint.path), "step": checkpoint.step, "metadata": dict(checkpoint.metadata)}
        payload = safetensors.numpy.save({name: array.copy(order="C") for name, array in checkpoint.arrays.items()})
    frame = peers.broadcast(told, payload)
    told = frame.header["value"]
    if peers.is_chief or told is None:
        return checkpoint
    arrays = safetensors.numpy.load(frame.payload)
    return Checkpoint(pathlib.Path(told["path"]), told["step"], arrays, told["metadata"])


def _greeting(addresses: Any, configuration: Configuration, data: DataRecord) -> Greeting:
    versions = {"hypertransformer_tf": hypertransformer_tf.__version__}
    versions["tensorflow"] = next(
        filter(None, map(_version, ("tensorflow", "tensorflow-cpu", "tf-nightly"))), "unknown"
    )
    versions.update({package: _version(package) or "unknown" for package in ("keras", "numpy")})
    return {"addresses": addresses, "versions": versions, "configuration": configuration, "data": data}


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _value(configuration: Mapping[str, Any], name: str, parameter: str) -> Any:
    return configuration.get(name, {}).get(parameter)
