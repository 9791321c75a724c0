"""One start of a run, from where it begins to what it came to: what every process of it does."""

import contextlib
import dataclasses
import logging
import os
import pathlib
from typing import IO, Any, ContextManager, Dict, NamedTuple, Optional

from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import LostWorkerError, SaveError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.experiment import Experiment
from hypertransformer_tf.kept_memory import keep_freed_memory
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.training.peers import Peers

PIXEL_EPISODES = 1000  # at most, of nearest neighbour on pixels


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a finished run came to.

    Attributes:
      run_dir: where everything about it is (in a cluster, on the chief's machine).
      test: accuracy on the meta-test classes, of the checkpoint that was best on the validation classes; None where
        there are no such classes.
      pixels: of nearest neighbour on pixels, on episodes of the same classes; None where not measured.
    """

    run_dir: pathlib.Path
    test: Optional[Accuracy]
    pixels: Optional[Accuracy]


class Samplers(NamedTuple):
    """Episodes of the three splits; None where a split has no classes, or no CNN is trained to be generated."""

    training: Any
    validation: Optional[EpisodeSampler]
    test: Optional[EpisodeSampler]


class Beginning(NamedTuple):
    """Where a start takes its variables from: the run's own checkpoint, another trained model, or neither."""

    own: Optional[Checkpoint]
    other: Optional[Checkpoint]


class OneStart:
    """One start of a run, in one process of those that share its work.

    Args:
      experiment, images, samplers: what is trained on what.
      path: of the run.
      run: its directory, open; None in a process that another one writes for.
      peers: the other processes.
    """

    def __init__(
        self,
        experiment: Experiment,
        images: ImagesByClass,
        samplers: Samplers,
        path: pathlib.Path,
        run: Optional[RunDirectory],
        peers: Peers,
    ):
        self._experiment, self._images, self._samplers = experiment, images, samplers
        self._path, self._run, self._peers = path, run, peers

    def do(self, beginning: Beginning, strategy_name: str) -> TrainingResult:
        """Trains to the end and measures."""
        # TensorFlow comes this late so that everything before answers within a second or two.
        keep_freed_memory()
        import_quietly("tensorflow")
        from hypertransformer_tf.training.build import build_training
        from hypertransformer_tf.training.loop import TrainingLoop
        from hypertransformer_tf.training.progress import ProgressReporter
        from hypertransformer_tf.training.strategy import explained

        settings, samplers, run = self._experiment.training, self._samplers, self._run
        with explained(self._peers):
            self._peers.wait_for_all()  # one that ended meanwhile would be waited for inside TensorFlow
            parts = build_training(self._experiment, self._images, strategy_name)
        loop = TrainingLoop(parts, samplers.training, samplers.validation, run, settings, self._peers)
        outcome = "stopped by an error"
        try:
            if beginning.own is not None:
                loop.restore(beginning.own, logging.warning)
            else:
                loop.begin(beginning.other)
            with (
                explained(self._peers),
                self._stream() as stream,
                ProgressReporter(settings.steps, loop.steps_done, stream=stream) as progress,
            ):
                self._introduce(progress, loop.steps_done)
                loop.train(progress)
                result = self._conclude(progress, loop)
                outcome = "finished"
                return result
        except (KeyboardInterrupt, SystemExit):
            outcome = "interrupted"
            raise
        except LostWorkerError:
            outcome = "lost a worker"
            raise
        finally:
            # On a full disk this fails too; the sentence to be read is the one that says what is intact.
            with contextlib.nullcontext() if outcome == "finished" else contextlib.suppress(SaveError):
                if run is not None:
                    run.finish(outcome, loop.steps_done)

    def _stream(self) -> ContextManager[Optional[IO[str]]]:
        """Where progress is shown: nowhere, in a process whose chief shows it."""
        return contextlib.nullcontext() if self._peers.is_chief else open(os.devnull, "w", encoding="utf-8")

    def _introduce(self, progress: Any, done: int) -> None:
        splits, episodes, processes = self._images.splits, self._experiment.episodes, self._peers.cluster.addresses
        classes = ", ".join(f"{len(splits[split])} {split}" for split in ("train", "validation", "test"))
        progress.message(
            f"{self._images.name}: {classes} classes; {episodes.n_way}-way {episodes.k_shot}-shot episodes; "
            f"run in {self._path}"
            + (f"; {len(processes)} workers" if len(processes) > 1 else "")
            + (f", continued from step {done}" if done else "")
        )
        training = self._experiment.training
        if training.compile and done < training.steps:
            progress.message("compiling the training step, which may take minutes")

    def _conclude(self, progress: Any, loop: Any) -> TrainingResult:
        if self._samplers.test is None:
            progress.message("There is nothing to measure: no test classes, or only shared features were trained.")
            return TrainingResult(self._path, None, None)
        queries = self._samplers.test.episodes.queries_per_class
        known = None if self._run is None else _measurement_of(self._run, loop.steps_done, queries)
        line = self._peers.broadcast(known).header["value"]
        episodes = self._experiment.evaluation.episodes
        if line is None:
            progress.message(f"measuring on {episodes:,} episodes of the test classes")
            line = {"step": loop.steps_done, **self._measure(loop, self._samplers.test)}
            line["test/queries_per_class"] = queries
            if self._run is not None:
                self._run.append_metrics(line)
        accuracy = Accuracy(line["test/accuracy"], line["test/interval_95"], episodes)
        progress.message(f"test accuracy {accuracy}, on classes never trained on")
        pixels = None
        if "test/pixel_accuracy" in line:
            mean, interval = line["test/pixel_accuracy"], line["test/pixel_interval_95"]
            pixels = Accuracy(mean, interval, min(episodes, PIXEL_EPISODES))
            progress.message(f"nearest neighbour on pixels: {pixels}")
        return TrainingResult(self._path, accuracy, pixels)

    def _measure(self, loop: Any, test: EpisodeSampler) -> Dict[str, Any]:
        settings = self._experiment.evaluation
        accuracy, step = loop.measure_best(test, settings.episodes, settings.query_batches, logging.warning)
        measured = {"test/step": step, "test/accuracy": accuracy.mean, "test/interval_95": accuracy.interval_95}
        if settings.pixel_baseline and self._peers.is_chief:
            from hypertransformer_tf.evaluation.pixel_baseline import pixel_accuracy  # late: it imports TensorFlow

            pixels = pixel_accuracy(test, min(settings.episodes, PIXEL_EPISODES))
            measured.update({"test/pixel_accuracy": pixels.mean, "test/pixel_interval_95": pixels.interval_95})
        return measured


def _measurement_of(run: RunDirectory, step: int, queries_per_class: int) -> Optional[Dict[str, Any]]:
    """The line that this run's metrics have on the test classes after a step, asked with as many queries, or None."""
    lines = read_metrics(run.path / "metrics.jsonl") if (run.path / "metrics.jsonl").exists() else []
    wanted = {"step": step, "test/queries_per_class": queries_per_class}
    measured = [line for line in lines if "test/step" in line and wanted.items() <= line.items()]
    return measured[-1] if measured else None
