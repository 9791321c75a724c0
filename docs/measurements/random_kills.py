"""Kills processes of a training at random moments, and compares what it ends with to a training that was left alone.

    python docs/measurements/random_kills.py --kills=20

Three processes on this machine train a small model on drawn characters. One of them, chosen at random, gets SIGKILL
after a random time; how long the others take to end is measured, and all are started again. After the last kill they
train to the end. Prints a Markdown table; status 1 if a process hung or the weights differ.
"""

import argparse
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

from hypertransformer_tf.runs.checkpoints import Checkpoint, load_latest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROCESSES = 3
LONGEST_WAIT = 60.0  # seconds that the others may take to end
JOINING = "45"  # seconds that processes wait for one that never came: longer than a start takes, and below LONGEST_WAIT
LONGEST_TRAINING = 3_600.0  # seconds
BINDINGS = (
    "cnn.channels = 4",
    "features.local_dim = 4",
    "transformer.layers = 1",
    "training.compile = False",
    "training.groups = 1",
    "training.task_batch = 3",
    "training.checkpoint_every = 20",
    "training.validate_every = 1_000",
    "evaluation.episodes = 48",
    "evaluation.pixel_baseline = False",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--longest", type=float, default=40.0, help="seconds from start to kill, at most (default: 40)")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, run = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "run"
        finish(start(whole, flags.steps))
        draw = random.Random(flags.seed)
        print("| kill | process | after | newest checkpoint | the others ended after | with status |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        waits = [kill_one(run, flags, draw, number) for number in range(1, flags.kills + 1)]
        finish(start(run, flags.steps))
        different = differences(newest(run), newest(whole))
    print(f"\nLongest wait {max(waits):.1f} s; arrays of model and optimiser that differ: {len(different)}.")
    return 0 if max(waits) < LONGEST_WAIT and not different else 1


def start(run: pathlib.Path, steps: int) -> list[subprocess.Popen]:
    """The processes of a training that begins, or goes on, in a run directory."""
    workers = [f"127.0.0.1:{port}" for port in free_ports()]
    command = [sys.executable, str(ROOT / "bin" / "train"), "--gin_file=gin/quickstart.gin", f"--run_dir={run}"]
    command += ["--strategy=multi_worker", *(f"--gin_bindings={each}" for each in BINDINGS)]
    command += [f"--gin_bindings={name} = {steps}" for name in ("training.steps", "optimizer.decay_steps")]
    processes = []
    for index in range(PROCESSES):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        own = {"TF_CONFIG": json.dumps(task), "HT_CLUSTER_SECONDS": JOINING, "CUDA_VISIBLE_DEVICES": "-1"}
        log = run.with_suffix(f".{index}.log").open("ab")
        processes.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, stdout=log, stderr=log))
        log.close()
    return processes


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(PROCESSES)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def kill_one(run: pathlib.Path, flags: argparse.Namespace, draw: random.Random, number: int) -> float:
    """Starts all, kills one, waits for the others: for how many seconds. Prints a row."""
    processes = start(run, flags.steps)
    victim, after = draw.randrange(PROCESSES), draw.uniform(0, flags.longest)
    time.sleep(after)
    if any(process.poll() is not None for process in processes):
        kill(processes)
        raise SystemExit(f"A process ended before kill {number}: raise --steps.")
    processes[victim].kill()
    killed = time.monotonic()
    others = [process for index, process in enumerate(processes) if index != victim]
    wait(others, 2 * LONGEST_WAIT)
    waited = time.monotonic() - killed
    statuses = [process.returncode for process in others]
    row = [number, victim, f"{after:.1f} s", newest_step(run), f"{waited:.1f} s", " and ".join(map(str, statuses))]
    print("| " + " | ".join(map(str, row)) + " |", flush=True)
    if not set(statuses) <= {1, 2}:  # a worker was lost, or never came
        raise SystemExit(f"After kill {number} the others ended with {statuses}, not 1 or 2.")
    return waited


def finish(processes: list[subprocess.Popen]) -> None:
    """Waits for a training that is left alone."""
    wait(processes, LONGEST_TRAINING)
    statuses = [process.returncode for process in processes]
    if any(statuses):
        raise SystemExit(f"A training that was left alone ended with {statuses}.")


def wait(processes: list[subprocess.Popen], seconds: float) -> None:
    """Until all have ended, or for so long; then they are killed."""
    until = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def newest_step(run: pathlib.Path) -> int:
    names = (run / "checkpoints").glob("checkpoint-*.safetensors")
    return max((int(path.stem.split("-")[1]) for path in names), default=0)


def newest(run: pathlib.Path) -> Checkpoint:
    checkpoint = load_latest(run / "checkpoints", print)
    if checkpoint is None:
        raise SystemExit(f"{run} has no checkpoint.")
    return checkpoint


def differences(ours: Checkpoint, theirs: Checkpoint) -> list[str]:
    """Names of arrays that are not the same, bit for bit."""
    if ours.step != theirs.step or ours.arrays.keys() != theirs.arrays.keys():
        raise SystemExit(f"The trainings ended with steps {ours.step} and {theirs.step}.")
    return [name for name in ours.arrays if ours.arrays[name].tobytes() != theirs.arrays[name].tobytes()]


if __name__ == "__main__":
    raise SystemExit(main())
