"""How fast a configuration trains here: what bin/benchmark and notebooks call."""

import dataclasses
import functools
import os
import pathlib
import platform
import resource
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Sequence

from hypertransformer_tf.config import origins_said
from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.kept_memory import keep_freed_memory
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.training.joining import join
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.strategy_names import check_strategy
from hypertransformer_tf.training.trainable import load_trainable, training_episodes

if TYPE_CHECKING:
    from hypertransformer_tf.training.costs import Costs

WARM_UP_STEPS = 5
MANY_STEPS = 1_000_000_000
STEPS_BETWEEN_QUESTIONS = 10  # to the chief, with several processes


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Speed of the training step: forward, backward and update.

    Attributes:
      gin_file: what was measured.
      episodes_per_second: over the measured time.
      milliseconds_per_episode: its inverse.
      input_wait: part of the measured time in which a step waited for its episodes, from 0 to 1.
      first_step_seconds: from the start of the process to the end of the first training step.
      peak_memory_mb: largest resident memory of the process, MiB.
      task_batch, groups, replicas: how a step is made up.
      measured_seconds, measured_steps: what the figures rest on.
      machine: processor and cores.
      tensorflow: version.
      costs: what many devices would depend on; None where it was not asked for.
    """

    gin_file: str
    episodes_per_second: float
    milliseconds_per_episode: float
    input_wait: float
    first_step_seconds: float
    peak_memory_mb: float
    task_batch: int
    groups: int
    replicas: int
    measured_seconds: float
    measured_steps: int
    machine: str
    tensorflow: str
    costs: Optional["Costs"] = None

    def __str__(self) -> str:
        return (
            f"{self.gin_file}: {self.episodes_per_second:.1f} episodes/s "
            f"({self.milliseconds_per_episode:.2f} ms each, task batch {self.task_batch} in {self.groups} groups on "
            f"{self.replicas} device(s)); input wait {100 * self.input_wait:.2f}%; first step after "
            f"{self.first_step_seconds:.1f} s; peak memory {self.peak_memory_mb:.0f} MiB; {self.machine}"
        )


def benchmark(
    gin_file: str,
    gin_bindings: Sequence[str] = (),
    data_dir: Optional[str] = None,
    seconds: float = 20.0,
    strategy: str = "auto",
    costs: bool = False,
) -> Benchmark:
    """Trains for some seconds and tells how fast; writes nothing.

    Args:
      gin_file, gin_bindings, data_dir: as for `train`.
      seconds: how long to measure, after a few steps that are not counted.
      strategy: as for `train`.
      costs: also measure what a prediction for more devices needs (`benchmarks/scaling_model.py`).

    Raises:
      UserError: a value that cannot be used.
    """
    check_strategy(strategy)
    experiment = load_trainable(gin_file, gin_bindings, data_dir)
    with origins_said(experiment.origins):
        return _benchmark(gin_file, experiment, seconds, strategy, costs)


def _benchmark(gin_file: str, experiment: Experiment, seconds: float, strategy: str, costs: bool) -> Benchmark:
    images, sampler = training_episodes(experiment)
    size = experiment.training.task_batch
    with join(strategy, experiment.effective(), describe_data(images)) as peers:
        keep_freed_memory()
        tensorflow = import_quietly("tensorflow")
        from hypertransformer_tf.training.build import build_training
        from hypertransformer_tf.training.costs import measure_costs
        from hypertransformer_tf.training.placement import own_batch
        from hypertransformer_tf.training.strategy import explained

        with explained(peers):
            peers.wait_for_all()  # as in training
            parts = build_training(experiment, images, strategy)
            pace = _measure(parts.step, functools.partial(own_batch, sampler, parts.strategy, size), seconds, peers)
            evaluation = experiment.evaluation_sampler(images, "train")
            measured = measure_costs(parts, sampler, evaluation, experiment.training) if costs else None
    return Benchmark(
        gin_file=str(gin_file),
        episodes_per_second=pace.steps * size / pace.seconds,
        milliseconds_per_episode=1000 * pace.seconds / (pace.steps * size),
        input_wait=pace.waited / pace.seconds,
        first_step_seconds=pace.first_step,
        peak_memory_mb=_peak_memory(),
        task_batch=size,
        groups=experiment.training.groups,
        replicas=parts.strategy.num_replicas_in_sync,
        measured_seconds=pace.seconds,
        measured_steps=pace.steps,
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        tensorflow=tensorflow.__version__,
        costs=measured,
    )


class _Pace(NamedTuple):
    """Seconds until the first step had ended; of those after the warm-up, their time, number and wait for input."""

    first_step: float
    seconds: float
    steps: int
    waited: float


def _measure(take_step: Callable[[Any, int], Any], make: Callable[[int], Any], seconds: float, peers: Peers) -> _Pace:
    with Prefetcher(make, 0, MANY_STEPS) as batches:
        steps = enumerate(batches)
        for step, batch in steps:
            float(take_step(batch, step).total)
            if step == 0:
                first_step = time.time() - _process_start()
            if step == WARM_UP_STEPS:
                break
        waited, start, measured = batches.waited_seconds, time.perf_counter(), 0
        for step, batch in steps:
            losses = take_step(batch, step)
            measured += 1
            if _is_over(time.perf_counter() - start >= seconds, measured, peers):
                break
        float(losses.total)  # an accelerator may still be computing
        return _Pace(first_step, time.perf_counter() - start, measured, batches.waited_seconds - waited)


def _is_over(mine: bool, measured: int, peers: Peers) -> bool:
    """Whether to stop, which the chief says, as all processes must at the same step."""
    if not peers.are_there:
        return mine
    return measured % STEPS_BETWEEN_QUESTIONS == 0 and peers.broadcast(mine).header["value"]


def _process_start() -> float:
    """When this process started, seconds since the epoch; where the system does not tell, when it was first asked."""
    try:
        ticks = int(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        boot = next(
            int(line.split()[1]) for line in pathlib.Path("/proc/stat").read_text().splitlines() if "btime" in line
        )
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, ValueError):
        return _IMPORTED


def _peak_memory() -> float:
    """MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


_IMPORTED = time.time()
