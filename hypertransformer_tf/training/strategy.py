"""Which devices train: a `tf.distribute` strategy by name."""

import contextlib
import logging
import os
from typing import Iterator, Optional

import tensorflow as tf

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.out_of_memory import out_of_memory, ran_out
from hypertransformer_tf.training.cluster import read_cluster
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.rendezvous import seconds_to_wait
from hypertransformer_tf.training.start_limit import limited
from hypertransformer_tf.training.strategy_names import VIRTUAL_DEVICES, check_strategy

_LESS_MEMORY = (
    "lower training.task_batch or raise training.groups; a run that has begun keeps them, so give another --run_dir"
)
_START_SECONDS = 45.0  # that TensorFlow may take until it has met all processes, which have come by then


def make_strategy(name: str, shares: Optional[int] = None) -> tf.distribute.Strategy:
    """The strategy of that name.

    Args:
      name: `one_device`; `mirrored` (all accelerators of this machine, or its virtual CPU devices); `multi_worker`
        (the processes in TF_CONFIG or of a Slurm step); `tpu`; or `auto`, which is `mirrored` where there are several
        accelerators or virtual devices, otherwise `one_device`.
      shares: parts that a task batch has, which every device must get as many of. `auto` takes the largest number of
        devices for which that can be, and says so if some are left; None takes all.

    The environment variable HT_VIRTUAL_DEVICES=N splits the CPU into N devices, for trying things out.

    Raises:
      UserError: the name is unknown, or what it needs is not there.
    """
    check_strategy(name)
    if name == "multi_worker":
        return _multi_worker()
    _split_cpu()
    devices = _devices()
    if name == "auto":
        devices = _evenly(devices, shares)
        name = "mirrored" if len(devices) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(devices) if name == "mirrored" else _tpu()


def own_episodes(strategy: tf.distribute.Strategy, task_batch: int) -> range:
    """Which episodes of a task batch this process computes, where replicas split it by index."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return range(task_batch)
    share = task_batch // resolver.cluster_spec().num_tasks("worker")
    return range(resolver.task_id * share, (resolver.task_id + 1) * share)


def only_device(strategy: tf.distribute.Strategy) -> Optional[str]:
    """The device that a process computes on, where it is one and no TPU: what all share needs no copies there."""
    devices = strategy.extended.worker_devices
    return devices[0] if len(devices) == 1 and not isinstance(strategy, tf.distribute.TPUStrategy) else None


@contextlib.contextmanager
def explained(peers: Peers) -> Iterator[None]:
    """What collectives raise when a process is gone becomes the sentence that says which; so does lack of memory.

    Raises:
      UserError: the memory of a device did not suffice, in this process or another one.
      LostWorkerError: another process is gone.
    """
    errors = tf.errors
    try:
        yield
    except (
        errors.ResourceExhaustedError,
        errors.UnavailableError,
        errors.AbortedError,
        errors.CancelledError,
        errors.DeadlineExceededError,
        errors.InternalError,
    ) as error:
        if not ran_out(error):
            peers.explain(error)
        if "Collective ops" in str(error):
            peers.await_end()  # it is perhaps another process that has no memory left, and says so
        raise out_of_memory(error, "while training", _LESS_MEMORY) from error


def _multi_worker() -> tf.distribute.Strategy:
    # Before any other operation: TensorFlow cannot join a cluster once it is running.
    cluster = read_cluster()
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    with limited(max(_START_SECONDS, seconds_to_wait(_START_SECONDS))):
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        except RuntimeError as error:
            raise UserError(
                "--strategy=multi_worker comes too late, TensorFlow is running already: start a process of its own for "
                "it."
            ) from error


def _evenly(devices: list, shares: Optional[int]) -> list:
    """As many of the devices as divide the shares."""
    count = len(devices) if shares is None else max(n for n in range(1, len(devices) + 1) if shares % n == 0)
    if count < len(devices):
        logging.warning(
            "--strategy=auto uses %d of %d devices: more do not divide training.task_batch / training.groups = %d.",
            count,
            len(devices),
            shares,
        )
    return devices[:count]


def _devices() -> list:
    accelerators = tf.config.list_logical_devices("GPU")
    return [device.name for device in accelerators or tf.config.list_logical_devices("CPU")]


def _split_cpu() -> None:
    wanted = os.environ.get(VIRTUAL_DEVICES)
    if wanted is None:
        return
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"{VIRTUAL_DEVICES}={wanted} is not right: give a whole number of at least 1.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    configuration = [tf.config.LogicalDeviceConfiguration()] * int(wanted)
    if tf.config.get_logical_device_configuration(cpu) != configuration:
        try:
            tf.config.set_logical_device_configuration(cpu, configuration)
        except RuntimeError as error:
            raise UserError(
                f"{VIRTUAL_DEVICES}={wanted} comes too late, TensorFlow is running with other devices already: "
                "set it before the process starts."
            ) from error


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise UserError(f"--strategy=tpu found no TPU: {str(error).splitlines()[0]}") from error
    return tf.distribute.TPUStrategy(resolver)
