"""How fast several configurations train here, measured in turns: a slow moment of the machine slows them all."""

import contextlib
import dataclasses
import functools
import statistics
import time
from typing import Any, Callable, Iterator, NamedTuple, Optional, Sequence, Union

from hypertransformer_tf.config import origins_said
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes.mixture import MixedSampler
from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.kept_memory import keep_freed_memory
from hypertransformer_tf.training.benchmark import MANY_STEPS, WARM_UP_STEPS
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.strategy_names import check_strategy
from hypertransformer_tf.training.trainable import load_trainable, training_episodes

TURNS = 9  # of each configuration


@dataclasses.dataclass(frozen=True)
class Speed:
    """Speed of the training step of one of several configurations.

    Attributes:
      gin_file: what was measured.
      episodes_per_second: median over its turns.
      times_as_long: an episode takes so many times as long as one of the first configuration; median over the turns.
    """

    gin_file: str
    episodes_per_second: float
    times_as_long: float

    def __str__(self) -> str:
        return (
            f"{self.gin_file}: {self.episodes_per_second:.1f} episodes/s, {self.times_as_long:.2f} times as long each"
        )


def speeds_in_turns(
    gin_files: Sequence[str],
    gin_bindings: Sequence[str] = (),
    data_dir: Optional[str] = None,
    seconds: float = 20.0,
    strategy: str = "auto",
) -> list[Speed]:
    """Trains all of them by turns and tells how fast each is; writes nothing.

    All are in memory at the same time.

    Args:
      gin_files: the configurations, at least one.
      gin_bindings, data_dir: as for `train`, for each of them.
      seconds: how long each is measured, in all its turns, after a few steps that are not counted.
      strategy: as for `train`, but for `multi_worker`.

    Raises:
      UserError: a value that cannot be used.
    """
    if strategy == "multi_worker":
        raise UserError("--beside measures this machine alone: leave out --strategy=multi_worker.")
    check_strategy(strategy)
    experiments = [load_trainable(gin_file, gin_bindings, data_dir) for gin_file in gin_files]
    episodes = [training_episodes(experiment) for experiment in experiments]  # refuses values before a model is built
    with contextlib.ExitStack() as open_until_the_end:
        stepped = []
        for experiment, (images, sampler) in zip(experiments, episodes):
            with origins_said(experiment.origins):
                training = _training(experiment, images, sampler, strategy)
                stepped.append(open_until_the_end.enter_context(training))
        turns: list[list[float]] = [[] for _ in stepped]
        for number in range(TURNS):
            places = range(len(stepped))
            for place in places if number % 2 == 0 else reversed(places):
                turns[place].append(stepped[place].seconds_per_episode(seconds / TURNS))
    return [
        Speed(str(name), 1 / statistics.median(own), statistics.median(a / b for a, b in zip(own, turns[0])))
        for name, own in zip(gin_files, turns)
    ]


class _Stepped(NamedTuple):
    """A model in training: its step, batches to come, and episodes in each."""

    take_step: Callable[[Any, int], Any]
    batches: Iterator[Any]
    task_batch: int

    def seconds_per_episode(self, seconds: float) -> float:
        """Of as many steps as begin within a time, one at least."""
        start, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - start < seconds:
            losses = self.take_step(next(self.batches), steps)
            steps += 1
        float(losses.total)  # an accelerator may still be computing
        return (time.perf_counter() - start) / (steps * self.task_batch)


@contextlib.contextmanager
def _training(
    experiment: Experiment, images: ImagesByClass, sampler: Union[EpisodeSampler, MixedSampler], strategy: str
) -> Iterator[_Stepped]:
    size = experiment.training.task_batch
    keep_freed_memory()
    from hypertransformer_tf.training.build import build_training  # late, as what needs TensorFlow: values come first
    from hypertransformer_tf.training.placement import own_batch
    from hypertransformer_tf.training.strategy import explained

    with explained(Peers.alone()):
        parts = build_training(experiment, images, strategy)
        with Prefetcher(functools.partial(own_batch, sampler, parts.strategy, size), 0, MANY_STEPS) as batches:
            for step in range(WARM_UP_STEPS):
                float(parts.step(next(batches), step).total)
            yield _Stepped(parts.step, batches, size)
