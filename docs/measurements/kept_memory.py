"""What it is worth that TensorFlow's own allocator keeps freed memory: processes with it and without, in turns.

    python docs/measurements/kept_memory.py --gin_file=gin/omniglot_4layer_fast.gin

Where pieces of memory come to lie is settled once a process, so that one process of each kind tells little: several of
each are started, and while one takes steps the others wait. Prints milliseconds an episode, the median of the rounds,
and page faults a step, process by process.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import List, Tuple

from hypertransformer_tf.kept_memory import keep_freed_memory

WARM_UP = 5  # steps
READY = "ready"


class Process:
    """A process that takes steps when told to."""

    def __init__(self, gin_file: str, kept: bool):
        self.kind = "kept" if kept else "given back"
        self.measured: List[Tuple[float, float]] = []
        self._process = subprocess.Popen(
            [sys.executable, __file__, f"--gin_file={gin_file}", "--obey"],
            env={**os.environ, "TF_CPU_ALLOCATOR_USE_BFC": str(kept).lower()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while (line := self._process.stdout.readline()).strip() != READY:
            if not line:
                raise SystemExit(f"A process with memory {self.kind} ended with {self._process.wait()}.")

    def take(self, steps: int) -> None:
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        milliseconds, faults = self._process.stdout.readline().split()
        self.measured.append((float(milliseconds), float(faults)))

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def obey(gin_file: str) -> None:
    """Takes as many steps as each line of the input says; answers with milliseconds an episode and faults a step."""
    keep_freed_memory()
    from hypertransformer_tf.data.load import load_images
    from hypertransformer_tf.experiment import load_experiment
    from hypertransformer_tf.training.build import build_training
    from hypertransformer_tf.training.placement import own_batch

    experiment = load_experiment(gin_file)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    parts, size = build_training(experiment, images, "one_device"), experiment.training.task_batch
    batch = own_batch(experiment.training_sampler(images), parts.strategy, size, 0)
    for step in range(WARM_UP):
        float(parts.step(batch, step).total)
    print(READY, flush=True)
    for line in sys.stdin:
        started, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for step in range(int(line)):
            losses = parts.step(batch, step)
        float(losses.total)
        milliseconds = 1000 * (time.perf_counter() - started) / int(line) / size
        print(milliseconds, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / int(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gin_file", required=True)
    parser.add_argument("--processes", type=int, default=3, help="of each kind")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="of a process, in a round")
    parser.add_argument("--obey", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.obey:
        return obey(flags.gin_file)
    processes = [Process(flags.gin_file, kept) for _ in range(flags.processes) for kept in (True, False)]
    for number in range(flags.rounds):
        for process in processes if number % 2 == 0 else reversed(processes):
            process.take(flags.steps)
    print("| freed memory | ms an episode | page faults a step |\n| --- | --- | --- |")
    for process in sorted(processes, key=lambda each: each.kind, reverse=True):
        milliseconds, faults = (statistics.median(values) for values in zip(*process.measured))
        print(f"| {process.kind} | {milliseconds:.2f} | {faults:,.0f} |")
        process.end()


if __name__ == "__main__":
    main()
