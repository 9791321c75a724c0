"""The training loop: steps, validation, checkpoints, reports."""

import math
import time
from typing import Any, Dict, List, Optional

import numpy as np
import tensorflow as tf

from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.checkpoints import load_best, load_latest, save_best, save_checkpoint
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.runs.state import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from hypertransformer_tf.training.build import TrainingParts
from hypertransformer_tf.training.config import TrainingConfig
from hypertransformer_tf.training.interruption import Interruption
from hypertransformer_tf.training.progress import ProgressReporter

FLUSH_STEPS = 20


class TrainingLoop:
    """Trains a model from where its run directory says, to `config.steps`.

    Episode numbers follow from the step, so that a run that was stopped sees the same episodes as one that was not.

    Args:
      parts: what is trained and how.
      sampler: meta-training episodes.
      validation: meta-validation episodes, or None for no validation.
      run: the run's directory, open.
      config: steps and intervals.
    """

    def __init__(
        self,
        parts: TrainingParts,
        sampler: EpisodeSampler,
        validation: Optional[EpisodeSampler],
        run: RunDirectory,
        config: TrainingConfig,
    ):
        self._model, self._optimizer, self._step, self._update = parts.model, parts.optimizer, parts.step, parts.update
        self._sampler, self._validation, self._run, self._config = sampler, validation, run, config
        self._evaluator = Evaluator(parts.model, config.compile)
        self._writer = tf.summary.create_file_writer(str(run.path / "tensorboard"))
        self._done = self._saved = 0
        self._best = -1.0
        self._unchecked: List[Any] = []
        self._log: List[Any] = []

    def restore(self, report) -> int:
        """Takes the run up from its newest readable checkpoint; the number of steps done."""
        checkpoint = load_latest(self._run.checkpoints, report)
        if checkpoint is not None:
            restore_model(self._model, checkpoint.arrays)
            restore_optimizer(self._optimizer, checkpoint.arrays)
            self._update.gather()
            self._done = self._saved = checkpoint.step
            self._best = float(checkpoint.metadata.get("best_validation", -1.0))
        self._run.begin(self._done)
        return self._done

    def train(self, progress: ProgressReporter) -> None:
        """Trains to the end.

        Raises:
          UserError: the loss is not finite; the last good checkpoint is kept.
          SaveError: something could not be saved.
          KeyboardInterrupt, SystemExit: on Ctrl-C and SIGTERM, once all is saved.
        """
        config, size = self._config, self._config.task_batch
        steps = max(config.steps - self._done, 0)
        with (
            Interruption() as interruption,
            Prefetcher(lambda step: self._sampler.task_batch(step * size, size), self._done, steps) as batches,
        ):
            since, counted = time.monotonic(), self._done
            for batch in batches:
                self._note(self._step(batch, self._done))
                self._done += 1
                if self._done % FLUSH_STEPS == 0 or self._done == config.steps or interruption.received:
                    self._check_finite()
                    now = time.monotonic()
                    speed = (self._done - counted) * size / (now - since)
                    self._report(progress, speed)
                    since, counted = now, self._done
                if self._act(progress, interruption):
                    since, counted = time.monotonic(), self._done

    def _act(self, progress: ProgressReporter, interruption: Interruption) -> bool:
        """Validates and saves where it is time; whether it did."""
        config, last = self._config, self._done == self._config.steps
        validate = self._validation is not None and (
            last or (config.validate_every > 0 and self._done % config.validate_every == 0)
        )
        if validate:
            self._check_finite()
            self._validate(progress)
        if validate or last or self._done % config.checkpoint_every == 0 or interruption.received:
            self._save()
            interruption.raise_if_received(
                f"Interrupted at step {self._done}; saved. The same command goes on from there."
            )
            return True
        return False

    def _note(self, losses: Any) -> None:
        self._unchecked.append(losses)

    def _check_finite(self) -> None:
        """Looks at the losses since the last look; looking at each at once would make an accelerator wait."""
        first = self._done - len(self._unchecked)
        for offset, losses in enumerate(self._unchecked):
            loss = float(losses.total)
            if not math.isfinite(loss):
                raise self._diverged(f"the loss was {loss} at step {first + offset + 1}")
            self._log.append(losses)
        self._unchecked.clear()

    def _diverged(self, what: str) -> UserError:
        kept = f"the checkpoint of step {self._saved} is kept" if self._saved else "nothing had been saved before"
        return UserError(
            f"{what}, so training stopped; {kept}: lower optimizer.learning_rate or set optimizer.clip_norm, and give "
            "another --run_dir."
        )

    def _report(self, progress: ProgressReporter, speed: float) -> None:
        recent = self._log[-FLUSH_STEPS:]
        loss = sum(float(losses.cross_entropy) for losses in recent) / len(recent)
        accuracy = sum(float(losses.accuracy) for losses in recent) / len(recent)
        progress.update(self._done, loss, accuracy, speed)
        if len(self._log) >= self._config.log_every or self._done == self._config.steps:
            self._write_log(speed)

    def _write_log(self, speed: float) -> None:
        count = len(self._log)
        means = {
            name: sum(float(getattr(losses, name)) for losses in self._log) / count
            for name in ("total", "cross_entropy", "accuracy")
        }
        rate = float(tf.convert_to_tensor(self._optimizer.learning_rate))
        values = {"loss": means["total"], "cross_entropy": means["cross_entropy"], "accuracy": means["accuracy"]}
        values.update(episodes_per_second=speed, learning_rate=rate)
        self._write({f"train/{name}": value for name, value in values.items()})
        self._log.clear()

    def _validate(self, progress: ProgressReporter) -> None:
        accuracy = self._evaluator.measure(self._validation, self._config.validation_episodes)
        progress.validation(self._done, accuracy.mean, accuracy.interval_95)
        self._write({"validation/accuracy": accuracy.mean, "validation/interval_95": accuracy.interval_95})
        if accuracy.mean > self._best:
            self._best = accuracy.mean
            arrays = self._finite(model_arrays(self._model))
            save_best(self._run.checkpoints, self._done, arrays, {"validation": accuracy.mean})

    def _save(self) -> None:
        self._check_finite()
        arrays = self._finite({**model_arrays(self._model), **optimizer_arrays(self._optimizer)})
        save_checkpoint(self._run.checkpoints, self._done, arrays, {"best_validation": self._best})
        self._saved = self._done

    def _finite(self, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """The arrays, if all are finite: the last update may have spoilt them though the loss before it was fine."""
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise self._diverged(f"{name} was not finite after step {self._done}")
        return arrays

    def _write(self, values) -> None:
        self._run.append_metrics({"step": self._done, **values})
        with self._writer.as_default(step=self._done):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def measure_best(self, sampler: EpisodeSampler, episodes: int, query_batches: int) -> Accuracy:
        """Measures the model with the variables of the best validation, if there was one, and keeps them in it."""
        best = load_best(self._run.checkpoints)
        if best is not None:
            restore_model(self._model, best.arrays)
        return self._evaluator.measure(sampler, episodes, query_batches)

    @property
    def steps_done(self) -> int:
        """Steps done over the whole run."""
        return self._done
