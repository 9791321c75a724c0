"""The model of scaling: against simulations, and that it names what limits."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from small_runs import ROOT

from hypertransformer_tf.benchmarks.scaling_model import Cluster, Measured, all_reduce_seconds, predict, table
from hypertransformer_tf.errors import UserError

MEASURED = Measured(
    machine="a machine",
    step_seconds=0.08,
    devices=1,
    task_batch=8,
    gradient_bytes=1_000_000,
    episode_bytes=60_000,
    drawing_seconds=1e-4,
    checkpoint_copy_seconds=0.01,
    checkpoint_write_seconds=0.05,
    checkpoint_bytes=3_000_000,
    evaluation_seconds=0.004,
    steps=30_000,
    checkpoint_every=1_000,
    validate_every=1_000,
    validation_episodes=256,
)
FAST = Cluster(bandwidth=1e10, latency=1e-5)


def _changed(**changes):
    return dataclasses.replace(MEASURED, **changes)


def _ring(devices, size, cluster):
    """Each device in turn passes one piece on to the next, twice round but for one: the clocks of all devices."""
    clocks = [0.0] * devices
    for _ in range(2 * (devices - 1)):
        arrived = [clock + cluster.latency + size / devices / cluster.bandwidth for clock in clocks]
        clocks = [max(clocks[device], arrived[device - 1]) for device in range(devices)]
    return max(clocks)


@pytest.mark.parametrize("devices", [2, 3, 8])
def test_an_all_reduce_of_much_is_a_ring(devices):
    slow = Cluster(bandwidth=1e6, latency=1e-6)
    assert all_reduce_seconds(devices, 1e7, slow) == pytest.approx(_ring(devices, 1e7, slow))


def test_an_all_reduce_of_little_over_many_is_a_tree():
    far = Cluster(bandwidth=1e10, latency=1e-3)
    assert all_reduce_seconds(1_024, 100, far) == pytest.approx(2 * 10 * 1e-3, rel=1e-3)
    assert all_reduce_seconds(1, 1e9, far) == 0.0


def test_one_device_does_what_was_measured():
    single = predict(_changed(validate_every=0, checkpoint_copy_seconds=0.0), FAST, 1, growing=True)
    assert sum(single.seconds.values()) == pytest.approx(MEASURED.step_seconds)
    assert single.episodes_per_second == pytest.approx(100.0)
    assert (single.task_batch, single.steps, single.limit) == (8, 30_000, "computing")


def test_two_measured_devices_are_the_same_as_one_with_half_the_task_batch():
    two, one = _changed(devices=2), _changed(task_batch=4, steps=60_000)
    assert predict(two, FAST, 64, growing=True) == predict(one, FAST, 64, growing=True)


@pytest.mark.parametrize(
    "changes, cluster, limit",
    [
        ({}, FAST, "computing"),
        ({}, Cluster(bandwidth=1e6, latency=1e-5), "all-reduce"),
        ({"drawing_seconds": 0.1}, FAST, "input"),
        ({"evaluation_seconds": 20.0}, FAST, "evaluation"),
        ({"checkpoint_write_seconds": 1e3}, FAST, "checkpoints"),
    ],
)
def test_what_takes_longest_is_named(changes, cluster, limit):
    prediction = predict(_changed(**changes), cluster, 64, growing=True)
    assert prediction.limit == limit
    assert f"| {limit} (" in table([prediction])


def test_a_step_waits_for_its_episodes_only_as_long_as_drawing_takes_longer_than_the_rest():
    slow = _changed(drawing_seconds=0.01)  # 8 devices of a process draw 64 episodes in 0.64 s
    seconds = predict(slow, FAST, 8, growing=True).seconds
    assert seconds["computing"] + seconds["all-reduce"] + seconds["input"] == pytest.approx(0.64)
    assert predict(slow, dataclasses.replace(FAST, devices_per_process=1), 8, growing=True).seconds["input"] == 0.0


def test_a_task_batch_that_does_not_grow_has_work_for_as_many_devices_as_episodes():
    few, many = (predict(MEASURED, FAST, devices, growing=False) for devices in (8, 1_000))
    assert few.working == many.working == 8 and many.task_batch == 8 and many.steps == MEASURED.steps
    assert few.seconds == many.seconds
    third = predict(MEASURED, FAST, 3, growing=False)  # 3, 3 and 2 episodes: the slowest has 3
    assert third.seconds["computing"] == pytest.approx(0.03)


@pytest.mark.parametrize("devices, batches", [(1, 25), (8, 4), (24, 2), (64, 1)])
def test_devices_share_a_validation_in_batches_of_16_episodes(devices, batches):
    measured = _changed(validation_episodes=400, validate_every=100)
    seconds = predict(measured, FAST, devices, growing=True).seconds["evaluation"]
    assert seconds == pytest.approx(batches * 16 * measured.evaluation_seconds / 100)


def test_a_growing_task_batch_leaves_fewer_steps():
    prediction = predict(MEASURED, FAST, 1_000, growing=True)
    assert prediction.task_batch == 8_000 and prediction.steps == 30


def test_faster_devices_compute_faster_and_are_held_up_by_the_rest():
    faster = Cluster(FAST.bandwidth, FAST.latency, device_speed=1_000.0)
    single = predict(MEASURED, faster, 8, growing=True)
    assert single.seconds["computing"] == pytest.approx(8e-5)
    assert single.limit == "input"


def _told(**changes):
    costs = {name: value for name, value in dataclasses.asdict(MEASURED).items()}
    for name in ("machine", "step_seconds", "devices", "task_batch"):
        del costs[name]
    told = {"machine": "a machine", "measured_seconds": 8.0, "measured_steps": 100, "replicas": 1, "task_batch": 8}
    return {**told, "costs": costs, **changes}


def test_it_reads_what_the_benchmark_prints(tmp_path):
    (tmp_path / "measured.json").write_text(json.dumps(_told()))
    assert Measured.read(tmp_path / "measured.json") == MEASURED


@pytest.mark.parametrize("text", ["", "[]", json.dumps(_told(costs=None)), json.dumps({"machine": "a machine"})])
def test_what_is_not_the_benchmarks_is_refused(tmp_path, text):
    (tmp_path / "measured.json").write_text(text)
    with pytest.raises(UserError, match="is not what bin/benchmark --costs --json prints"):
        Measured.read(tmp_path / "measured.json")
    with pytest.raises(UserError, match="absent.json cannot be read: No such file"):
        Measured.read(tmp_path / "absent.json")


def test_the_script_prints_both_tables_and_says_what_was_assumed(tmp_path):
    (tmp_path / "measured.json").write_text(json.dumps(_told()))
    command = [sys.executable, ROOT / "docs" / "scaling" / "predict.py", tmp_path / "measured.json"]
    flags = ["--gigabits=80", "--microseconds=10", "--device_speed=50"]
    done = subprocess.run([*command, *flags], cwd=ROOT, env=_environment(), capture_output=True, text=True, check=True)
    assert "each 50 times as fast as a device of the measured machine (a machine), joined by 80 Gbit/s" in done.stdout
    assert done.stdout.count("| devices | with work |") == 2 and done.stdout.count("| 1,000 | 8 |") == 1
    refused = subprocess.run([*command[:2], "absent"], env=_environment(), capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and refused.stderr == "absent cannot be read: No such file or directory.\n"


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}
