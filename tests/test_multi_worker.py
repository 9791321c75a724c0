"""Several processes train one model: the same as one would, stopped together, and none of them hangs for another."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_clusters import cluster, ends, free_ports, tf_config
from small_runs import (
    ROOT,
    TINY,
    assert_same_state,
    experiment_of,
    glyphs,
    latest,
    newest_step,
    own_configuration,
    run_command,
    start_command,
    wait_until,
    write_gin,
)

from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.state import model_arrays
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.train import load_experiment, train

# Plain gradient descent: variables show the gradients, and not their signs alone where these are nearly zero.
ALIKE = (
    "cnn.dropout = 0.0",
    "optimizer.name = 'sgd'",
    "optimizer.learning_rate = 1.0",
    "optimizer.warmup_steps = 0",
    "training.task_batch = 6",
    "training.steps = 2",
    "training.validate_every = 1",
    "training.validation_episodes = 40",
)
LONG = ("training.task_batch = 3", "training.steps = 600", "training.checkpoint_every = 20")
LONG += ("training.validate_every = 200",)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    return write_gin(tmp_path_factory.mktemp("gin") / "alike.gin", *ALIKE)


@pytest.fixture(scope="module")
def one_process(alike, tmp_path_factory):
    """The directory of the run of one process."""
    with own_configuration():
        return train(alike, run_dir=str(tmp_path_factory.mktemp("runs") / "one"), strategy="one_device").run_dir


def _flags(gin_file, run):
    return f"--gin_file={gin_file}", f"--run_dir={run}"


def _metrics(run):
    lines = read_metrics(run / "metrics.jsonl")
    return [{name: value for name, value in line.items() if "per_second" not in name} for line in lines]


def _furthest_move(run):
    """How far training moved the entry of a variable that it moved furthest."""
    with own_configuration():
        experiment = load_experiment(str(run / "config.gin"))
    begin, end = model_arrays(build_training(experiment, glyphs(), "one_device").model), latest(run).arrays
    return max(np.abs(end[name] - array).max() for name, array in begin.items())


def _assert_alike(run, expected, tolerance):
    """The same variables relative to how far the furthest moved, the same metrics, checkpoints at the same steps."""
    ours, theirs = latest(run), latest(expected)
    assert ours.step == theirs.step and ours.arrays.keys() == theirs.arrays.keys()
    furthest = _furthest_move(expected)
    for name, array in theirs.arrays.items():
        np.testing.assert_allclose(ours.arrays[name], array, rtol=0, atol=tolerance * furthest, err_msg=name)
    assert len(_metrics(run)) == len(_metrics(expected))
    for line, wanted in zip(_metrics(run), _metrics(expected)):
        assert line == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def _said(stderr):
    """What the library said: TensorFlow 2.15 notes that XLA compiles, whatever it is told."""
    return [line for line in stderr.splitlines() if "absl::InitializeLog" not in line and not line.startswith("I0000")]


def _assert_trained_together(processes, run, one_process):
    chief, *workers = ends(processes)
    for each in (chief, *workers):
        assert (each.returncode, _said(each.stderr)) == (0, [])
    assert f"; {len(processes)} workers" in chief.stdout and "test accuracy" in chief.stdout
    assert [each.stdout for each in workers] == [""] * len(workers)
    (start,) = json.loads((run / "run.json").read_text())["starts"]
    assert start["process"] == processes[0].pid and start["outcome"] == "finished"
    assert start["devices"]["replicas"] == len(processes)
    _assert_alike(run, one_process, 1e-5)


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_the_chief_alone_writes(alike, one_process, tmp_path):
    with cluster(2, *_flags(alike, tmp_path / "run")) as processes:
        _assert_trained_together(processes, tmp_path / "run", one_process)


@pytest.mark.slow
def test_three_processes_train_what_one_does(alike, one_process, tmp_path):
    with cluster(3, *_flags(alike, tmp_path / "run")) as processes:
        _assert_trained_together(processes, tmp_path / "run", one_process)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_virtual_devices_train_what_one_does(alike, one_process, tmp_path, devices):
    batch = "--gin_bindings=training.task_batch = 4" if devices == 4 else "--gin_bindings=training.task_batch = 6"
    expected = one_process
    if devices == 4:
        with own_configuration():
            expected = train(alike, [batch.partition("=")[2]], str(tmp_path / "one"), strategy="one_device").run_dir
    environment = {"HT_VIRTUAL_DEVICES": str(devices), "CUDA_VISIBLE_DEVICES": "-1"}
    done = run_command("train", *_flags(alike, tmp_path / "run"), batch, "--strategy=mirrored", environment=environment)
    assert done.returncode == 0, done.stderr
    _assert_alike(tmp_path / "run", expected, 1e-5)


@pytest.fixture(scope="module")
def with_xla(tmp_path_factory):
    """A configuration that XLA compiles, as the shipped ones, and the directory of its run on one device."""
    folder = tmp_path_factory.mktemp("with_xla")
    gin_file = write_gin(folder / "alike.gin", *ALIKE, "training.compile = True")
    with own_configuration():
        return gin_file, train(gin_file, run_dir=str(folder / "one"), strategy="one_device").run_dir


@pytest.mark.slow
def test_two_virtual_devices_compiled_by_xla_train_what_one_does(with_xla, tmp_path):
    (gin_file, one_device), environment = with_xla, {"HT_VIRTUAL_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    flags = *_flags(gin_file, tmp_path / "run"), "--strategy=mirrored"
    done = run_command("train", *flags, environment=environment)
    assert done.returncode == 0, done.stderr
    (start,) = json.loads((tmp_path / "run" / "run.json").read_text())["starts"]
    assert start["devices"]["replicas"] == 2
    _assert_alike(tmp_path / "run", one_device, 1e-5)


@pytest.mark.slow
def test_two_processes_compiled_by_xla_train_what_one_does(with_xla, tmp_path):
    gin_file, one_device = with_xla
    with cluster(2, *_flags(gin_file, tmp_path / "run")) as processes:
        _assert_trained_together(processes, tmp_path / "run", one_device)


def test_parts_of_a_task_batch_are_the_episodes_of_the_whole():
    for changes in ((), ("episodes.mixture = ((2, 1), (3, 2))",)):
        experiment: Experiment = experiment_of(*changes, settings=TINY)
        sampler = experiment.training_sampler(glyphs())
        for first in (0, 6, 12):
            whole = sampler.task_batch(first, 6)
            parts = [sampler.of_task_batch(first).task_batch(first + start, 3) for start in (0, 3)]
            for field, halves in zip(whole, zip(*parts)):
                np.testing.assert_array_equal(field, np.concatenate(halves))


# --- refused before TensorFlow is imported ----------------------------------------------------------------------------


@pytest.fixture
def without_tensorflow(tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    paths = [str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_a_process_with_another_configuration_is_refused_and_all_end(alike, tmp_path, without_tensorflow):
    own = ((), ("--seed=1",))
    with cluster(2, *_flags(alike, tmp_path / "run"), own_flags=own) as processes:
        done = ends(processes)
    for each in done:
        assert each.returncode == 2 and each.stdout == ""
        assert each.stderr.count("\n") == 1, each.stderr
        assert "The worker 1 (127.0.0.1:" in each.stderr and "training.seed: 0 -> 1" in each.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_the_chief_cannot_use_ends_all(alike, tmp_path, without_tensorflow):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with cluster(2, *_flags(alike, tmp_path / "run")) as processes:
        chief, worker = ends(processes)
    assert (chief.returncode, worker.returncode) == (2, 2)
    assert "holds something else ('thesis.tex'" in chief.stderr and chief.stderr.count("\n") == 1
    assert worker.stderr.startswith("Worker 0 (127.0.0.1:") and chief.stderr.strip() in worker.stderr


@pytest.mark.parametrize(
    "environment, says",
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG is not JSON"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "which of the workers this process is"),
        ({"TF_CONFIG": tf_config([1, 2], 0), "HT_VIRTUAL_DEVICES": "2"}, "HT_VIRTUAL_DEVICES=2 has no effect"),
        ({"TF_CONFIG": tf_config([1, 2], 1), "HT_CLUSTER_SECONDS": "soon"}, "HT_CLUSTER_SECONDS=soon"),
        ({"SLURM_JOB_ID": "1"}, "start the workers by srun"),
    ],
)
def test_a_cluster_that_is_not_named_rightly(alike, tmp_path, without_tensorflow, environment, says):
    done = run_command("train", *_flags(alike, tmp_path / "run"), "--strategy=multi_worker", environment=environment)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_process_that_is_alone_says_for_whom_it_waited(alike, tmp_path, without_tensorflow):
    ports = free_ports(2)
    environment = {"TF_CONFIG": tf_config(ports, 1), "HT_CLUSTER_SECONDS": "1"}
    done = run_command("train", *_flags(alike, tmp_path / "run"), "--strategy=multi_worker", environment=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Of the cluster, worker 0 (127.0.0.1:{ports[0]}) did not come")


# --- when one of them dies --------------------------------------------------------------------------------------------


def _wait_for_new_checkpoint(run, processes):
    before = newest_step(run)
    wait_until(lambda: newest_step(run) > before, processes[0], 600)


@pytest.mark.slow
def test_stopped_killed_and_started_again_they_end_as_if_nothing_had_happened(tmp_path):
    gin_file, whole, run = write_gin(tmp_path / "long.gin", *LONG), tmp_path / "whole", tmp_path / "run"
    with cluster(3, *_flags(gin_file, whole)) as processes:
        assert [each.returncode for each in ends(processes, 900)] == [0, 0, 0]

    with cluster(3, *_flags(gin_file, run)) as processes:
        _wait_for_new_checkpoint(run, processes)
        processes[1].send_signal(signal.SIGTERM)
        for each in ends(processes, 60):
            assert (each.returncode, each.stderr) == (143, "")
    (start,) = json.loads((run / "run.json").read_text())["starts"]
    assert start["outcome"] == "interrupted" and start["to_step"] == latest(run).step
    assert latest(run).step % 20 == 0

    for victim, outcome in ((2, "lost a worker"), (0, None)):
        with cluster(3, *_flags(gin_file, run)) as processes:
            _wait_for_new_checkpoint(run, processes)
            processes[victim].kill()
            killed = time.monotonic()
            done = ends(processes, 60)
            assert time.monotonic() - killed < 60
        for index, each in enumerate(done):
            if index != victim:
                assert each.returncode == 1, each.stderr
                assert each.stderr.count("\n") == 1 and f"Worker {victim} (127.0.0.1:" in each.stderr, each.stderr
        assert json.loads((run / "run.json").read_text())["starts"][-1].get("outcome") == outcome

    with cluster(3, *_flags(gin_file, run), "--restarts=1") as processes:
        _wait_for_new_checkpoint(run, processes)
        os.kill(_child(processes[1]), signal.SIGKILL)
        done = ends(processes, 900)
    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]
    assert "it died of SIGKILL; starting it again (1 of 1)" in done[1].stderr
    assert all("another worker was lost; starting it again (1 of 1)" in done[i].stderr for i in (0, 2))
    assert_same_state(latest(run), latest(whole))
    assert _metrics(run) == _metrics(whole)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_all_stop_while_they_measure_when_one_is_asked_to(tmp_path, asked):
    changes = ("training.task_batch = 2", "evaluation.episodes = 1_000_000")
    gin_file, run = write_gin(tmp_path / "long.gin", *changes), tmp_path / "run"
    with cluster(2, *_flags(gin_file, run), "--restarts=3") as processes:
        wait_until(lambda: newest_step(run) == 6, processes[0], 600)
        time.sleep(2)
        processes[asked].send_signal(signal.SIGTERM)
        done = ends(processes, 60)
    assert [(each.returncode, each.stderr) for each in done] == [(143, "")] * 2
    (start,) = json.loads((run / "run.json").read_text())["starts"]
    assert start["outcome"] == "interrupted" and start["ended"] and start["to_step"] == 6


def _child(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
        return int(file.read().split()[0])


# A worker up to where TensorFlow's service waits for all: the chief's main thread then holds Python's lock.
_DIES_BEFORE_REGISTERING = """
import os, signal, sys
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.training.joining import join, share_checkpoint

experiment = load_experiment(sys.argv[1])
images = load_images(experiment.data, experiment.episodes.most_classes)
with join("multi_worker", experiment.effective(), describe_data(images)) as peers:
    share_checkpoint(peers, None), share_checkpoint(peers, None)
    peers.wait_for_all()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_that_dies_before_it_registers_is_not_waited_for_for_ever(alike, tmp_path):
    ports, run = free_ports(2), tmp_path / "run"
    worker = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config(ports, 1)}
    chief = {"TF_CONFIG": tf_config(ports, 0), "CUDA_VISIBLE_DEVICES": "-1"}
    with start_command("train", "--strategy=multi_worker", *_flags(alike, run), environment=chief) as process:
        subprocess.run([sys.executable, "-c", _DIES_BEFORE_REGISTERING, alike], env=worker, timeout=120, check=False)
        died = time.monotonic()
        (end,) = ends([process], seconds=90)
        assert time.monotonic() - died < 60 and end.returncode == 1
        assert "did not meet all workers within 45 s" in end.stderr and end.stderr.count("\n") == 1, end.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGSTOP")
def test_a_process_that_stands_still_is_not_waited_for_for_ever(tmp_path):
    gin_file, run = write_gin(tmp_path / "long.gin", *LONG, "training.task_batch = 2"), tmp_path / "run"
    with cluster(2, *_flags(gin_file, run)) as processes:
        _wait_for_new_checkpoint(run, processes)
        processes[1].send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        out, err = processes[0].communicate(timeout=120)
        assert time.monotonic() - stopped < 60 and processes[0].returncode == 1
        # Whichever notices first: our watch, or TensorFlow's own.
        assert ("no sign of life" in err or "heartbeat" in err) and err.count("\n") == 1, err
        processes[1].kill()
