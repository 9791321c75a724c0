"""When training goes wrong, or cannot begin: one sentence, and nothing that was saved is lost."""

import errno
import os
import re
import threading

import numpy as np
import pytest
import tensorflow as tf
from small_runs import (
    TINY,
    assert_same_state,
    experiment_of,
    glyphs,
    latest,
    newest_step,
    run_command,
    run_here,
    starts_of,
    train_here,
    write_gin,
)

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.checkpoints import load_best
from hypertransformer_tf.training import build, loop
from hypertransformer_tf.training.loop import TrainingLoop
from hypertransformer_tf.training.progress import ProgressReporter
from hypertransformer_tf.training.step import Losses, TrainingStep


def _loop(run, step, *changes, validated=False):
    """A training loop whose step is given, over a run directory that is a folder and nothing more."""
    experiment = experiment_of("training.steps = 50", "training.validate_every = 0", *changes, settings=TINY)
    images = glyphs()
    parts = build.build_training(experiment, images, "one_device")
    parts = parts._replace(step=step(parts))
    validation = experiment.evaluation_sampler(images, "validation") if validated else None
    return TrainingLoop(parts, experiment.training_sampler(images), validation, run, experiment.training)


class _Folder:
    """What a loop needs of a run directory."""

    def __init__(self, path):
        self.path, self.checkpoints = path, path / "checkpoints"

    def append_metrics(self, values):
        pass

    def check_is_there(self):
        pass


def _refused(training):
    with pytest.raises(UserError) as caught:
        training.train(ProgressReporter(50))
    return str(caught.value)


def _nan_at(number):
    return lambda parts: lambda batch, step: Losses(*[np.float32("nan" if step + 1 == number else 1)] * 3)


@pytest.mark.parametrize("number, kept", [(3, 2), (4, 2), (5, 4), (37, 36)])
def test_the_step_of_a_loss_that_is_not_finite_is_named_and_the_checkpoint_before_it_kept(tmp_path, number, kept):
    said = _refused(_loop(_Folder(tmp_path), _nan_at(number), "training.checkpoint_every = 2"))
    assert f"the loss was nan at step {number}," in said and f"the checkpoint of step {kept} is kept" in said
    assert "optimizer.learning_rate" in said
    assert latest(tmp_path).step == kept


def test_a_checkpoint_that_is_not_there_is_not_said_to_be_kept(tmp_path):
    said = _refused(_loop(_Folder(tmp_path), _nan_at(5), "training.checkpoint_every = 40"))
    assert "the loss was nan at step 5," in said and "step 0 is kept" not in said
    assert newest_step(tmp_path) == 0


def test_variables_that_are_not_finite_are_never_saved(tmp_path):
    """The last update before a checkpoint may spoil the variables while the loss before it was fine."""

    def spoiling(parts):
        def step(batch, number):
            if number + 1 == 4:
                parts.model.trainable_variables[0].assign(parts.model.trainable_variables[0] * np.float32("nan"))
            return Losses(*[np.float32(1)] * 3)

        return step

    said = _refused(_loop(_Folder(tmp_path), spoiling, "training.checkpoint_every = 2"))
    assert "step 4" in said and "the checkpoint of step 2 is kept" in said
    assert latest(tmp_path).step == 2


def _spoiling(name):
    """A step that spoils, at step 4, all arrays of a checkpoint whose name begins like this, and leaves the others."""

    def of(parts):
        def step(batch, number):
            if number + 1 == 4:
                variables = {"model/": parts.update._averages, "update/": parts.update._trained}[name]
                for variable in variables:
                    variable.assign(variable * np.float32("nan"))
            return Losses(*[np.float32(1)] * 3)

        return step

    return of


VALIDATED = ("training.checkpoint_every = 2", "training.validate_every = 4", "optimizer.average = 0.9")


def test_a_best_model_is_kept_though_what_goes_on_from_it_is_not_finite(tmp_path):
    said = _refused(_loop(_Folder(tmp_path), _spoiling("update/"), *VALIDATED, validated=True))
    assert "update/trained_variables was not finite after step 4" in said
    assert "the checkpoint of step 2 is kept and the best model, of step 4, is kept:" in said
    best = load_best(tmp_path / "checkpoints")
    assert best.step == 4 and latest(tmp_path).step == 2 and 0 <= best.metadata["validation"] <= 1
    assert best.arrays and all(name.startswith("model/") for name in best.arrays)
    assert all(np.isfinite(array).all() for array in best.arrays.values())


def test_a_best_model_that_is_not_finite_is_not_kept(tmp_path):
    said = _refused(_loop(_Folder(tmp_path), _spoiling("model/"), *VALIDATED, validated=True))
    assert re.match(r"model/\S+ was not finite after step 4", said) and "best model" not in said
    assert load_best(tmp_path / "checkpoints") is None and latest(tmp_path).step == 2


def test_a_best_model_that_cannot_be_written_is_not_said_to_be_kept(tmp_path, monkeypatch):
    def full(*arguments):
        raise SaveError("best.safetensors: no space left.")

    monkeypatch.setattr(loop, "save_best", full)
    said = _refused(_loop(_Folder(tmp_path), _spoiling("update/"), *VALIDATED, validated=True))
    assert "the checkpoint of step 2 is kept:" in said and "best model" not in said
    assert said.endswith("; saving failed as well: best.safetensors: no space left.")


@pytest.mark.parametrize("fails_at, kept", [(4, "the checkpoint of step 2 is kept"), (2, "nothing had been saved")])
def test_a_save_that_fails_does_not_hide_that_the_loss_was_not_finite(tmp_path, monkeypatch, fails_at, kept):
    """The write before the loss that is not finite fails once that has been seen."""
    seen, write, diverged = threading.Event(), loop.save_checkpoint, TrainingLoop._diverged

    def written(directory, step, arrays, metadata):
        if step < fails_at:
            return write(directory, step, arrays, metadata)
        assert seen.wait(60)
        raise SaveError(f"Step {step} could not be saved.")

    def see(self, *arguments):
        seen.set()
        return diverged(self, *arguments)

    monkeypatch.setattr(loop, "save_checkpoint", written)
    monkeypatch.setattr(TrainingLoop, "_diverged", see)
    said = _refused(_loop(_Folder(tmp_path), _nan_at(fails_at + 1), "training.checkpoint_every = 2"))
    assert f"the loss was nan at step {fails_at + 1}," in said and kept in said
    assert said.endswith(f"give another --run_dir; saving failed as well: Step {fails_at} could not be saved.")
    assert newest_step(tmp_path) == fails_at - 2


def test_tensorboard_files_that_cannot_be_written_are_an_error_of_saving(tmp_path, monkeypatch):
    def full(*arguments):
        raise tf.errors.UnknownError(None, None, "No space left on device")

    training = _loop(_Folder(tmp_path), lambda parts: lambda batch, step: Losses(*[np.float32(1)] * 3))
    monkeypatch.setattr(tf.summary, "scalar", full)
    with pytest.raises(SaveError, match="tensorboard could not be written: No space left on device; the checkpoints"):
        training.train(ProgressReporter(50))


def test_a_run_that_diverges_ends_with_status_two_and_one_sentence(tmp_path, monkeypatch, capsys):
    changes = ("optimizer.name = 'sgd'", "optimizer.learning_rate = 1000.0", "optimizer.warmup_steps = 0")
    always = ("training.checkpoint_every = 1", "training.validate_every = 0")
    gin_file = write_gin(tmp_path / "wild.gin", *changes, *always, "loss.l2 = 1e9")
    assert run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={tmp_path / 'run'}") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    failed = int(re.search(r"the loss was (?:inf|nan) at step (\d+)", said)[1])
    kept = latest(tmp_path / "run")
    assert kept.step == failed - 1 and f"the checkpoint of step {kept.step} is kept" in said
    assert all(np.isfinite(array).all() for array in kept.arrays.values())
    assert starts_of(tmp_path / "run")[0]["outcome"] == "stopped by an error"


def test_a_full_disk_ends_with_status_one_and_leaves_the_last_checkpoint(
    six_steps, gin_file, tmp_path, monkeypatch, capsys
):
    run, fsync, full = tmp_path / "run", os.fsync, []

    def fsync_until_full(descriptor):
        if full or newest_step(run) == 3:
            full.append(descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync_until_full)
        assert run_here(patch, "train", f"--gin_file={gin_file}", f"--run_dir={run}") == 1
    said = capsys.readouterr().err
    assert full and said.count("\n") == 1
    assert "No space left on device; checkpoint-00000003.safetensors is intact" in said
    assert newest_step(run) == 3
    train_here(gin_file, run)
    assert_same_state(latest(run), latest(six_steps))


def test_a_run_that_cannot_begin_on_a_full_disk_ends_with_status_one_and_leaves_nothing(
    gin_file, tmp_path, monkeypatch, capsys
):
    glyphs()  # into the cache

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={tmp_path / 'runs' / 'new'}") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "No space left on device; make room, or choose another --run_dir" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes, says",
    [
        (("cnn.architecture = '4-layer'", "cnn.trained_layers = 0", "data.image_size = 14"), "too small"),
        (("training.shared_features_from = 'no/such/run'",), "no/such/run"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_directory(tmp_path, changes, says):
    gin_file = write_gin(tmp_path / "tiny.gin", *changes)
    with pytest.raises(UserError, match=says):
        train_here(gin_file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_strategy_that_cannot_be_had_leaves_no_directory(gin_file, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG"):
        train_here(gin_file, tmp_path / "run", strategy="multi_worker")
    assert not (tmp_path / "run").exists()


def test_memory_that_runs_out_while_it_trains_or_measures_is_one_sentence(tmp_path, monkeypatch, capsys):
    def full(*arguments, **named):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9] and type float")

    def says(name):
        assert run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={tmp_path / name}") == 2
        assert starts_of(tmp_path / name)[-1]["outcome"] == "stopped by an error"
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    gin_file = write_gin(tmp_path / "tiny.gin", "training.steps = 1", "training.validate_every = 0")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", full)
        assert "Memory ran out while training (OOM when" in (said := says("training")) and "training.task_batch" in said
    monkeypatch.setattr(Evaluator, "_ask", full)
    assert "Memory ran out while measuring (OOM when" in (said := says("measuring")) and "queries_per_class" in said


@pytest.mark.slow
def test_a_task_batch_that_memory_does_not_hold_is_one_sentence(tmp_path):
    """TensorFlow's own error, with a limit on what it may take."""
    changes = ("training.task_batch = 2000", "training.steps = 2", "training.validate_every = 0")
    environment = {"TF_CPU_BFC_MEM_LIMIT_IN_MB": "64", "CUDA_VISIBLE_DEVICES": "-1"}
    flags = (f"--gin_file={write_gin(tmp_path / 'large.gin', *changes)}", f"--run_dir={tmp_path / 'run'}")
    done = run_command("train", *flags, environment=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert re.match(r"Memory ran out while training \(OOM when allocating tensor .*\): lower training\.", done.stderr)
