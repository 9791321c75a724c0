"""The scripts in docs/scaling start commands that exist, with the cluster that their scheduler describes."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from small_runs import own_configuration

from hypertransformer_tf.commands import train
from hypertransformer_tf.training import build
from hypertransformer_tf.training.cluster import read_cluster
from hypertransformer_tf.training.train import load_experiment

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "scaling"
SBATCH = str(FOLDER / "train.sbatch")


def _flags(monkeypatch, command):
    """The flags of a bin/train command line."""
    assert command[0] == "bin/train"
    monkeypatch.setattr(sys, "argv", command)
    return train.read_flags()


def _assert_divides(gin_file, processes):
    with own_configuration():
        build._check_division(load_experiment(str(ROOT / gin_file)), processes)


def _stand_ins(folder, **programs):
    """A PATH with shell scripts that stand in for programs of the cluster."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def _sbatch(tmp_path, status, *arguments):
    note = f'printf "%q " "$HT_PORT" "$@" >> {tmp_path}/srun; exit {status}'
    path = _stand_ins(tmp_path / "bin", srun=note, scontrol=f'echo "$@" >> {tmp_path}/scontrol')
    environment = {**os.environ, "PATH": path, "SLURM_JOB_ID": "4000012"}
    return subprocess.run(["bash", SBATCH, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)


def test_the_slurm_script_starts_training_as_a_step(tmp_path, monkeypatch):
    assert _sbatch(tmp_path, 0, "gin/quickstart.gin", "runs/a b").returncode == 0
    port, *command = shlex.split((tmp_path / "srun").read_text())
    assert port == "20012" and not (tmp_path / "scontrol").exists()
    flags = _flags(monkeypatch, command[command.index("bin/train") :])
    assert (flags.gin_file, flags.run_dir) == ("gin/quickstart.gin", "runs/a b")
    assert flags.strategy == "multi_worker" and flags.restarts > 0


@pytest.mark.parametrize("status, requeued", [(143, True), (1, False), (2, False)])
def test_the_slurm_script_is_queued_again_when_its_time_was_up(tmp_path, status, requeued):
    assert _sbatch(tmp_path, status, "gin/quickstart.gin", "runs/x").returncode == status
    assert (tmp_path / "scontrol").exists() == requeued
    assert not requeued or (tmp_path / "scontrol").read_text() == "requeue 4000012\n"


def test_the_slurm_script_without_its_arguments_says_what_they_are(tmp_path):
    done = _sbatch(tmp_path, 0)
    assert done.returncode == 2 and "usage: sbatch" in done.stderr and not (tmp_path / "srun").exists()


def test_the_configuration_that_the_slurm_script_names_can_be_divided_over_its_nodes():
    (example,) = re.findall(r"sbatch --nodes=(\d+) docs/scaling/train.sbatch (\S+)", pathlib.Path(SBATCH).read_text())
    (default,) = re.findall(r"#SBATCH --nodes=(\d+)", pathlib.Path(SBATCH).read_text())
    for nodes in (example[0], default):
        _assert_divides(example[1], int(nodes))


@pytest.fixture
def manifest():
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((FOLDER / "jobset.yaml").read_text())


def _pod(manifest):
    (job,) = manifest["spec"]["replicatedJobs"]
    return job["template"]["spec"], job["template"]["spec"]["template"]["spec"]


def test_the_manifest_is_a_jobset_whose_pods_are_as_many_as_it_says(manifest):
    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    job, pod = _pod(manifest)
    (container,) = pod["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert job["parallelism"] == job["completions"] == int(values["WORKERS"])
    assert job["completionMode"] == "Indexed" and pod["restartPolicy"] == "Never"
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize("index", [0, 3])
def test_every_pod_of_the_manifest_knows_its_cluster_and_starts_training(manifest, tmp_path, monkeypatch, index):
    job, pod = _pod(manifest)
    (container,) = pod["containers"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "train").write_text('#!/bin/bash\nprintf "%s\\n" "$TF_CONFIG" > tf_config; printf "%q " "$@"\n')
    (tmp_path / "bin" / "train").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "WORKERS": "4", "JOBSET_NAME": "name", "INDEX": str(index)}
    done = subprocess.run(
        [*container["command"], *container["args"]], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "tf_config").read_text()
    cluster = read_cluster({"TF_CONFIG": text})
    assert json.loads(text)["task"]["type"] == "worker" and cluster.index == index
    port = container["ports"][0]["containerPort"]
    workers = manifest["spec"]["replicatedJobs"][0]["name"]
    assert cluster.addresses == tuple(f"name-{workers}-0-{i}.name:{port}" for i in range(job["parallelism"]))
    flags = _flags(monkeypatch, ["bin/train", *shlex.split(done.stdout)])
    assert flags.strategy == "multi_worker"
    _assert_divides(flags.gin_file, job["parallelism"])
