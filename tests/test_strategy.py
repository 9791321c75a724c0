"""Which devices a name stands for, and what is said where they cannot be had."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf
from small_clusters import free_ports, tf_config
from small_runs import ROOT

from hypertransformer_tf.errors import LostWorkerError, UserError
from hypertransformer_tf.training import strategy
from hypertransformer_tf.training.cluster import read_cluster
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.strategy import VIRTUAL_DEVICES, explained, make_strategy, own_episodes
from hypertransformer_tf.training.strategy_names import STRATEGIES

several_accelerators = pytest.mark.skipif(
    len(tf.config.list_physical_devices("GPU")) > 1, reason="this machine has several accelerators"
)


@pytest.fixture(autouse=True)
def no_devices_asked_for(monkeypatch):
    for name in (VIRTUAL_DEVICES, "TF_CONFIG", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def test_one_device_is_one_replica():
    made = make_strategy("one_device")
    assert isinstance(made, tf.distribute.OneDeviceStrategy) and made.num_replicas_in_sync == 1


@several_accelerators
def test_auto_is_one_device_where_there_is_one():
    assert isinstance(make_strategy("auto"), tf.distribute.OneDeviceStrategy)


@pytest.mark.parametrize("shares, used", [(6, 3), (4, 2), (5, 1), (None, 3), (3, 3)])
def test_auto_takes_the_most_devices_that_divide_the_task_batch_and_says_if_some_are_left(caplog, shares, used):
    devices = strategy._evenly(["a", "b", "c"], shares)
    assert devices == ["a", "b", "c"][:used]
    assert [f"uses {used} of 3 devices" in message for message in caplog.messages] == [True] * (used < 3)


def test_mirrored_may_be_asked_for_on_one_device():
    made = make_strategy("mirrored")
    assert isinstance(made, tf.distribute.MirroredStrategy)
    assert made.num_replicas_in_sync == max(len(tf.config.list_logical_devices("GPU")), 1)


@pytest.mark.slow
def test_virtual_devices_are_all_used():
    program = """
from hypertransformer_tf.training.strategy import make_strategy
for name in ("auto", "mirrored", "one_device"):
    strategy = make_strategy(name)
    print(type(strategy).__name__, strategy.num_replicas_in_sync)
"""
    environment = {**os.environ, VIRTUAL_DEVICES: "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["MirroredStrategy 3", "MirroredStrategy 3", "OneDeviceStrategy 1"]


@pytest.mark.parametrize("value", ["abc", "0", "-2", "1.5", "", "²"])
def test_a_number_of_virtual_devices_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv(VIRTUAL_DEVICES, value)
    with pytest.raises(UserError, match=f"HT_VIRTUAL_DEVICES={value} is not right: give a whole number"):
        make_strategy("auto")


def test_a_cpu_that_can_no_longer_be_split_is_one_sentence(monkeypatch):
    tf.config.list_logical_devices()  # from here on TensorFlow keeps its devices
    monkeypatch.setenv(VIRTUAL_DEVICES, "7")
    with pytest.raises(UserError, match="HT_VIRTUAL_DEVICES=7"):
        make_strategy("auto")


def test_several_workers_need_to_be_named():
    with pytest.raises(UserError, match="--strategy=multi_worker needs the environment variable TF_CONFIG"):
        make_strategy("multi_worker")


def test_several_workers_cannot_be_joined_once_tensorflow_runs(monkeypatch):
    tf.config.list_logical_devices()
    (port,) = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([port], 0))
    with pytest.raises(UserError, match="--strategy=multi_worker comes too late"):
        make_strategy("multi_worker")


def test_the_tasks_of_a_slurm_step_are_those_of_tensorflows_resolver(monkeypatch):
    step = {"JOB_ID": "1", "PROCID": "3", "STEP_NUM_TASKS": "5"}
    step.update(STEP_NODELIST="gpu[08-09],login1", STEP_TASKS_PER_NODE="2(x2),1")
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(gpus_per_node=2, gpus_per_task=1, auto_set_gpu=False)
    cluster = read_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": list(cluster.addresses)}
    assert resolver.get_task_info() == ("worker", cluster.index)


def test_without_a_cluster_a_process_computes_the_whole_task_batch():
    assert own_episodes(make_strategy("one_device"), 6) == range(6)
    assert own_episodes(make_strategy("mirrored"), 6) == range(6)


def test_what_a_collective_raises_when_a_process_is_gone_says_so_and_nothing_else_is_touched():
    aborted = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: x")
    for raised, kind in ((aborted, LostWorkerError), (tf.errors.InvalidArgumentError(None, None, "shapes"), None)):
        with pytest.raises(kind or type(raised)), explained(_Peers()):
            raise raised
    with pytest.raises(tf.errors.UnavailableError), explained(Peers.alone()):
        raise aborted


OOM = (
    "Graph execution error:\n\nDetected at node add\n{{function_node __wrapped}} OOM when allocating tensor with "
    "shape[64,9] and type float on /job:localhost/task:0/device:GPU:0 by allocator GPU_0_bfc\n\t [[{{node x}}]]"
)


@pytest.mark.parametrize(
    "raised, says",
    [
        (
            tf.errors.ResourceExhaustedError(None, None, OOM),
            "OOM when allocating tensor with shape[64,9] and type float on /job:localhost/task:0/device:GPU:0",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "Out of memory while trying to allocate 5 bytes.\nmore"),
            "Out of memory while trying to allocate 5 bytes",
        ),
        (
            tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory\nmore"),
            "out of memory",
        ),
        (tf.errors.ResourceExhaustedError(None, None, "no room"), "no room"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_memory_that_ran_out_is_one_sentence_with_what_to_change(raised, says, alone):
    with pytest.raises(UserError) as caught, explained(Peers.alone() if alone else _Peers()):
        raise raised
    assert str(caught.value) == (
        f"Memory ran out while training ({says}): lower training.task_batch or raise training.groups; a run that has "
        "begun keeps them, so give another --run_dir."
    )


def test_an_internal_error_that_is_not_about_memory_is_not_touched():
    with pytest.raises(tf.errors.InternalError), explained(Peers.alone()):
        raise tf.errors.InternalError(None, None, "a bug")


class _Peers:
    def explain(self, error):
        raise LostWorkerError(str(error))


@pytest.mark.parametrize("error", [ValueError, tf.errors.NotFoundError])
def test_a_tpu_that_is_not_there_is_one_sentence(monkeypatch, error):
    def connect():
        raise error("nothing at\nall") if error is ValueError else error(None, None, "nothing at\nall")

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", connect)
    with pytest.raises(UserError) as caught:
        make_strategy("tpu")
    assert str(caught.value) == "--strategy=tpu found no TPU: nothing at"


def test_a_tpu_that_answers_is_the_strategys(monkeypatch):
    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", lambda: "the resolver")
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolver: ("a strategy of", resolver))
    assert make_strategy("tpu") == ("a strategy of", "the resolver")


def test_an_unknown_strategy_is_answered_with_those_there_are():
    with pytest.raises(UserError) as caught:
        make_strategy("both")
    assert "--strategy=both is not known" in str(caught.value)
    assert all(name in str(caught.value) for name in STRATEGIES)
