"""The training loop: steps, validation, checkpoints, reports."""

import contextlib
import functools
from typing import Any, Callable, Iterator, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from hypertransformer_tf import keras_stack
from hypertransformer_tf.episodes.prefetch import Prefetcher
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.background_save import BackgroundSave
from hypertransformer_tf.runs.checkpoints import Checkpoint, Metadata, load_for_use, save_best, save_checkpoint
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.runs.state import (
    restore_model,
    restore_optimizer,
    restore_shared_features,
    restore_trained_model,
)
from hypertransformer_tf.training.build import TrainingParts
from hypertransformer_tf.training.checkpoint_arrays import checkpoint_arrays, first_not_finite
from hypertransformer_tf.training.config import TrainingConfig
from hypertransformer_tf.training.interruption import Interruption
from hypertransformer_tf.training.joining import share_checkpoint
from hypertransformer_tf.training.loss_log import RECENT_STEPS, LossLog
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.placement import own_batch
from hypertransformer_tf.training.progress import ProgressReporter
from hypertransformer_tf.training.shared_evaluation import measure_together
from hypertransformer_tf.training.validation import Validation

_Arrays = Mapping[str, np.ndarray]
_Write = Callable[[], object]


class TrainingLoop:
    """Trains a model from where its run directory says, to `config.steps`.

    Episode numbers follow from the step, so that a run that was stopped sees the same episodes as one that was not.

    Args:
      parts: what is trained and how.
      sampler: meta-training episodes.
      validation: meta-validation episodes, or None for no validation.
      run: the run's directory, open; None in a process that has none, as another one of the cluster writes.
      config: steps and intervals.
      peers: the other processes of the cluster.
    """

    def __init__(
        self,
        parts: TrainingParts,
        sampler: EpisodeSampler,
        validation: Optional[EpisodeSampler],
        run: Optional[RunDirectory],
        config: TrainingConfig,
        peers: Optional[Peers] = None,
    ):
        self._model, self._optimizer, self._step, self._update = parts.model, parts.optimizer, parts.step, parts.update
        self._run, self._config, self._peers = run, config, peers or Peers.alone()
        self._batch_of = functools.partial(own_batch, sampler, parts.strategy, config.task_batch)
        self._evaluator = Evaluator(parts.model, config.compile, parts.strategy)
        self._validation = Validation(validation, config.validation_episodes, self._evaluator, self._peers)
        self._writer: Any = None  # made when there is something to write: a run that is refused leaves nothing
        self._saves = BackgroundSave()
        self._done = self._saved = 0  # the latter once it is written
        self._is_best = False  # whether the highest accuracy came since the last save
        self._log = LossLog(config.task_batch)
        self._devices = {
            "strategy": type(parts.strategy).__name__,
            "replicas": parts.strategy.num_replicas_in_sync,
            "tensorflow": tf.__version__,
        }

    def restore(self, checkpoint: Checkpoint, report: Callable[[str], None]) -> None:
        """Takes the run up from a checkpoint of it; `report` is told if other devices go on with it."""
        restore_model(self._model, checkpoint.arrays)
        restore_optimizer(self._optimizer, checkpoint.arrays)
        self._update.restore(checkpoint.arrays)
        self._done = self._saved = checkpoint.step
        self._validation.restore(checkpoint.metadata)
        if self._run is None:
            return
        changed = self._run.begin(self._done, self._devices, self._validation.pending)
        if changed:
            report(changed)

    def begin(self, other: Optional[Checkpoint] = None) -> None:
        """Begins the run, with the model of another run's checkpoint, or its shared features, if there is one."""
        if other is not None:
            take = restore_trained_model if self._config.model_from else restore_shared_features
            take(self._model, other.arrays)
            self._update.gather()
        if self._run is not None:
            self._run.begin(0, self._devices)

    def train(self, progress: ProgressReporter) -> None:
        """Trains to the end.

        Raises:
          UserError: the loss is not finite; the last good checkpoint is kept, and so is a new best model.
          SaveError: something could not be saved.
          KeyboardInterrupt, SystemExit: on Ctrl-C and SIGTERM, once all is saved.
        """
        config = self._config
        steps = max(config.steps - self._done, 0)
        with (
            Interruption(self._peers, RECENT_STEPS) as interruption,  # until the last save is done
            self._saves,
            Prefetcher(self._batch_of, self._done, steps) as batches,
        ):
            if config.steps == 0:  # nothing is meta-trained: the initial values are what there is to measure
                self._save()
            if self._validation.pending:
                self._act(progress, interruption, interruption.due(self._done, ask=True))
            self._log.restart_clock()
            for batch in batches:
                self._log.add(self._step(batch, self._done))
                self._done += 1
                self._saves.check()
                stop = interruption.due(self._done, ask=self._validates())
                if self._done % RECENT_STEPS == 0 or self._done == config.steps or stop:
                    self._check_finite()
                    self._report(progress)
                if self._done % config.log_every == 0:
                    self._write_log()
                if self._act(progress, interruption, stop):
                    self._log.restart_clock()

    def _act(self, progress: ProgressReporter, interruption: Interruption, stop: bool) -> bool:
        """Validates and saves where it is time; whether it did."""
        config, last, validates = self._config, self._done == self._config.steps, self._validates()
        if validates and self._validation.has_episodes:
            self._write_log()
            self._validate(progress, interruption.is_agreed)
        if (validates and self._validation.has_episodes) or last or self._done % config.checkpoint_every == 0 or stop:
            self._save()
            if last or stop or self._validation.pending:
                self._saves.wait()
            interruption.raise_if_received(
                f"Interrupted at step {self._done}; saved. The same command goes on from there"
                + (", with the validation that was given up." if self._validation.pending else ".")
            )
            return True
        return False

    def _validates(self) -> bool:
        """Whether a validation is due after the steps done, should there be validation classes."""
        every = self._config.validate_every
        regular = every > 0 and self._done % every == 0
        return self._done == self._config.steps or regular or self._validation.pending

    def _check_finite(self) -> None:
        wrong = self._log.look(self._done)
        if wrong is not None:
            raise self._diverged(f"the loss was {wrong.loss} at step {wrong.step}")

    def _diverged(self, what: str, write_best: Optional[_Write] = None) -> UserError:
        """The error to raise, once what it says to be kept has been written."""
        kept, failed = [], ""
        try:
            self._saves.wait()
        except SaveError as error:
            failed = f"; saving failed as well: {error}"
        if self._saved:
            kept.append(f"the checkpoint of step {self._saved} is kept")
        if write_best is not None:
            try:
                write_best()
                kept.append(f"the best model, of step {self._done}, is kept")
            except SaveError as error:
                failed = f"; saving failed as well: {error}"
        return UserError(
            f"{what}, so training stopped; {' and '.join(kept) or 'nothing had been saved before'}: lower "
            f"optimizer.learning_rate or set optimizer.clip_norm, and give another --run_dir{failed or '.'}"
        )

    def _report(self, progress: ProgressReporter) -> None:
        recent = self._log.recent()
        progress.update(self._done, recent["cross_entropy"], recent["accuracy"], recent["episodes_per_second"])

    def _write_log(self) -> None:
        """Writes a line about the steps since the last one, if there are any.

        There is one before every checkpoint, so that a run taken up from it writes the lines it would have written.
        """
        self._check_finite()
        line = self._log.take_line()
        if line:
            line["learning_rate"] = keras_stack.learning_rate(self._optimizer)
            self._write({f"train/{name}": value for name, value in line.items()})

    def _validate(self, progress: ProgressReporter, stop: Callable[[], bool]) -> None:
        with self._update.averaged():
            accuracy = self._validation.measure(stop)
        if accuracy is None:
            return
        progress.validation(self._done, accuracy.mean, accuracy.interval_95)
        self._write({"validation/accuracy": accuracy.mean, "validation/interval_95": accuracy.interval_95})
        if accuracy.mean > self._validation.best:
            self._validation.best, self._is_best = accuracy.mean, True

    def _save(self) -> None:
        """Begins to write a checkpoint, and the best one if this validation was."""
        self._write_log()
        arrays = checkpoint_arrays(self._model, self._optimizer, self._update)
        accuracy, metadata = self._validation.best, self._validation.metadata
        best = functools.partial(self._write_best, self._done, arrays, accuracy) if self._is_best else None
        self._is_best = False
        # The last update may have spoilt the arrays though the loss before it was fine.
        wrong = first_not_finite(arrays)
        if wrong is not None:
            what = f"{wrong} was not finite after step {self._done}"
            raise self._diverged(what, None if wrong.startswith("model/") else best)
        self._saves.start(functools.partial(self._write_checkpoint, self._done, arrays, metadata, best))

    def _write_checkpoint(self, step: int, arrays: _Arrays, metadata: Metadata, write_best: Optional[_Write]) -> None:
        """Writes the best checkpoint first, if there is a new one: the other says how good it is."""
        if write_best is not None:
            write_best()
        if self._run is not None:
            with _still_there(self._run):
                save_checkpoint(self._run.checkpoints, step, arrays, metadata)
        self._saved = step

    def _write_best(self, step: int, arrays: _Arrays, accuracy: float) -> None:
        if self._run is not None:
            model = {name: array for name, array in arrays.items() if name.startswith("model/")}
            with _still_there(self._run):
                save_best(self._run.checkpoints, step, model, {"validation": accuracy})

    def _write(self, values: Mapping[str, float]) -> None:
        if self._run is None:
            return
        self._run.append_metrics({"step": self._done, **values})
        try:
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self._run.path / "tensorboard"))
            with self._writer.as_default(step=self._done):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise SaveError(
                f"{self._run.path / 'tensorboard'} could not be written: {error.message.splitlines()[0]}; the "
                "checkpoints saved so far are intact: make room and start the same command again."
            ) from error

    def measure_best(
        self, sampler: EpisodeSampler, episodes: int, query_batches: int, report: Callable[[str], None]
    ) -> Tuple[Accuracy, int]:
        """Measures the model with the variables of the best validation, or the newest, and keeps them in it.

        Returns:
          The accuracy, and the step of the checkpoint.
        """
        newest = load_for_use(self._run.checkpoints, report) if self._run is not None else None
        checkpoint = share_checkpoint(self._peers, newest)
        if checkpoint is not None:
            restore_model(self._model, checkpoint.arrays)
        step = self._done if checkpoint is None else checkpoint.step
        return measure_together(self._evaluator, self._peers, sampler, episodes, query_batches), step

    @property
    def steps_done(self) -> int:
        """Steps done over the whole run."""
        return self._done


@contextlib.contextmanager
def _still_there(run: RunDirectory) -> Iterator[None]:
    """Lets nothing be written where the directory is another run's by now, and says so where it goes meanwhile."""
    run.check_is_there()
    try:
        yield
    except (SaveError, OSError):  # the latter from a folder that goes while it is listed
        run.check_is_there()
        raise
