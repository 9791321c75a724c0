"""What a configuration needs beside its steps, for predicting more devices (`benchmarks/scaling_model.py`)."""

import dataclasses
import tempfile
import time
from typing import Any, Callable

from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.checkpoints import save_checkpoint
from hypertransformer_tf.training.build import TrainingParts
from hypertransformer_tf.training.checkpoint_arrays import checkpoint_arrays, first_not_finite
from hypertransformer_tf.training.config import TrainingConfig

_DRAWING_SECONDS, _SAVES, _EVALUATED = 1.0, 3, 64


@dataclasses.dataclass(frozen=True)
class Costs:
    """Measured on this machine, on one process.

    Attributes:
      gradient_bytes: what devices exchange in a step.
      episode_bytes: of an episode's images and labels.
      drawing_seconds: of an episode, on one thread, nothing else running in this process.
      checkpoint_bytes: of a checkpoint's file.
      checkpoint_copy_seconds: until its arrays are copied and seen to be finite, which training waits for.
      checkpoint_write_seconds: of writing it to the folder for temporary files; the quickest of some.
      evaluation_seconds: of an episode with one query set, once compiled.
      steps, checkpoint_every, validate_every, validation_episodes: of the configuration.
    """

    gradient_bytes: int
    episode_bytes: int
    drawing_seconds: float
    checkpoint_bytes: int
    checkpoint_copy_seconds: float
    checkpoint_write_seconds: float
    evaluation_seconds: float
    steps: int
    checkpoint_every: int
    validate_every: int
    validation_episodes: int


def measure_costs(parts: TrainingParts, sampler: Any, evaluation: EpisodeSampler, config: TrainingConfig) -> Costs:
    """Measures everything but the steps; leaves nothing behind.

    Args:
      parts: what is trained.
      sampler: of training episodes.
      evaluation: of episodes to evaluate on; of which classes makes no difference.
      config: the configuration.
    """
    size = config.task_batch

    def draw(number: int) -> Any:
        return sampler.of_task_batch(number * size).task_batch(number * size, size)

    copying, writing, written = _checkpoint(parts)
    return Costs(
        gradient_bytes=4 * int(parts.update.vector.shape[0]),
        episode_bytes=sum(field.nbytes for field in draw(0)) // size,
        drawing_seconds=_drawing(draw) / size,
        checkpoint_bytes=written,
        checkpoint_copy_seconds=copying,
        checkpoint_write_seconds=writing,
        evaluation_seconds=_evaluation(parts, evaluation, config.compile),
        steps=config.steps,
        checkpoint_every=config.checkpoint_every,
        validate_every=config.validate_every,
        validation_episodes=config.validation_episodes,
    )


def _drawing(make: Callable[[int], Any]) -> float:
    """Seconds per call."""
    make(0)  # what is made once, such as a memory map's pages
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < _DRAWING_SECONDS:
        number += 1
        make(number)
    return (time.perf_counter() - start) / number


def _checkpoint(parts: TrainingParts) -> tuple[float, float, int]:
    """Seconds to copy and to write a checkpoint, and its bytes."""
    copying, writing = [], []
    with tempfile.TemporaryDirectory() as folder:
        for step in range(_SAVES):
            start = time.perf_counter()
            arrays = checkpoint_arrays(parts.model, parts.optimizer, parts.update)
            first_not_finite(arrays)  # training looks too
            copied = time.perf_counter()
            path = save_checkpoint(folder, step, arrays, {})
            copying.append(copied - start)
            writing.append(time.perf_counter() - copied)
        return min(copying), min(writing), path.stat().st_size


def _evaluation(parts: TrainingParts, sampler: EpisodeSampler, compile: bool) -> float:
    """Seconds per episode."""
    evaluator = Evaluator(parts.model, compile)
    evaluator.measure(sampler, _EVALUATED)  # compiles
    start = time.perf_counter()
    evaluator.measure(sampler, _EVALUATED)
    return (time.perf_counter() - start) / _EVALUATED
