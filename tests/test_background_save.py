"""Saves on a thread: one at a time, none lost, none failing in silence."""

import os
import shutil
import signal
import threading

import numpy as np
import pytest
from small_runs import (
    SMALL,
    TINY,
    assert_same_state,
    experiment_of,
    glyphs,
    latest,
    newest_step,
    train_here,
    tree,
    write_gin,
)

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import checkpoints
from hypertransformer_tf.runs.background_save import BackgroundSave
from hypertransformer_tf.runs.state import model_arrays
from hypertransformer_tf.training import loop
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.checkpoint_arrays import checkpoint_arrays, first_not_finite

SECONDS = 60


def _fails():
    raise SaveError("the disk is full")


def test_a_save_runs_while_its_owner_goes_on():
    went_on = threading.Event()
    with BackgroundSave() as saves:
        saves.start(lambda: went_on.wait(SECONDS) or pytest.fail("nobody went on"))
        saves.check()
        went_on.set()


def test_one_save_follows_the_other():
    running, order = threading.Lock(), []

    def save(number):
        assert running.acquire(blocking=False), "two at once"
        order.append(number)
        running.release()

    with BackgroundSave() as saves:
        for number in range(20):
            saves.start(lambda number=number: save(number))
    assert order == list(range(20))


@pytest.mark.parametrize("ask", ["check", "wait", "start"])
def test_what_went_wrong_is_raised_where_the_next_question_is_asked_and_once(ask):
    with BackgroundSave() as saves:
        saves.start(_fails)
        saves._pending.exception()  # waits
        with pytest.raises(SaveError, match="the disk is full"):
            saves.start(lambda: None) if ask == "start" else getattr(saves, ask)()
        saves.wait()


def test_what_went_wrong_last_is_raised_at_the_end():
    with pytest.raises(SaveError, match="the disk is full"):
        with BackgroundSave() as saves:
            saves.start(_fails)


def test_it_may_be_entered_again_and_saves_nothing_outside():
    saves, done = BackgroundSave(), []
    for number in range(2):
        with saves:
            saves.start(lambda number=number: done.append(number))
        with pytest.raises(RuntimeError, match="outside the `with` block"):
            saves.start(lambda: done.append("outside"))
    assert done == [0, 1]


def test_an_error_that_ends_training_is_not_replaced_by_that_of_a_save(caplog):
    with pytest.raises(UserError, match="diverged"):
        with BackgroundSave() as saves:
            saves.start(_fails)
            raise UserError("diverged")
    assert "the disk is full" in caplog.text


def test_training_goes_on_while_a_checkpoint_is_written(gin_file, six_steps, tmp_path, monkeypatch):
    """The write of step 3 ends only when step 5 has begun; the run is the same as ever."""
    later, place, write = threading.Event(), loop.TrainingLoop._report, checkpoints.save_checkpoint

    def reported(self, progress):
        if self._done >= 5:
            later.set()
        place(self, progress)

    def written(directory, step, arrays, metadata):
        if step == 3:
            assert later.wait(SECONDS), "training waited for the checkpoint"
        return write(directory, step, arrays, metadata)

    monkeypatch.setattr(loop, "RECENT_STEPS", 1)
    monkeypatch.setattr(loop.TrainingLoop, "_report", reported)
    monkeypatch.setattr(loop, "save_checkpoint", written)
    train_here(gin_file, tmp_path / "run")
    assert_same_state(latest(tmp_path / "run"), latest(six_steps))


def _copies(parts):
    return checkpoint_arrays(parts.model, parts.optimizer, parts.update)


def test_what_is_saved_does_not_change_with_the_model():
    """Nor with the vector that is trained and the scale of the loss, which a checkpoint has beside the average."""
    changes = ("optimizer.average = 0.9", "training.precision = 'float16'")
    parts = build_training(experiment_of(*changes, settings=TINY), glyphs(), "one_device")
    parts.update.apply(0.0 * parts.update.vector + 1.0)
    arrays = _copies(parts)
    before = {name: array.copy() for name, array in arrays.items()}
    assert {"update/trained_variables", "update/loss_scale"} <= arrays.keys()
    np.testing.assert_array_equal(arrays["update/trained_variables"], parts.update.vector)
    parts.update.apply(0.0 * parts.update.vector + 1.0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
    after = _copies(parts)
    for name in ("update/trained_variables", "update/loss_scale"):
        assert not np.array_equal(after[name], before[name])
    assert any(not np.array_equal(after[name], before[name]) for name in before if name.startswith("model/"))


def test_under_the_names_of_the_model_the_average_is_saved():
    parts = build_training(experiment_of("optimizer.average = 0.9", settings=TINY), glyphs(), "one_device")
    parts.update.apply(0.0 * parts.update.vector + 1.0)
    trained, arrays = model_arrays(parts.model), _copies(parts)
    assert any(not np.array_equal(arrays[name], trained[name]) for name in trained)
    for name, array in model_arrays(parts.model).items():
        np.testing.assert_array_equal(array, trained[name])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_the_first_array_that_is_not_finite_is_found(value):
    arrays = {"a": np.ones(3), "b": np.array([1.0, value]), "c": np.array(value), "d": np.array(3)}
    assert first_not_finite(arrays) == "b"
    assert first_not_finite({name: arrays[name] for name in "ad"}) is None


def test_a_run_of_no_steps_has_a_checkpoint_of_its_initial_values(tmp_path):
    settings = [setting for setting in SMALL if not setting.startswith("optimizer.")]  # the oracle has none
    changes = ("method.name = 'oracle'", "training.steps = 0", "oracle.steps = 1", "evaluation.episodes = 2")
    train_here(write_gin(tmp_path / "oracle.gin", *changes, settings=settings), tmp_path / "run")
    assert latest(tmp_path / "run").step == 0


@pytest.mark.parametrize("replaced", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_directory_that_goes_before_a_checkpoint_is_written_is_not_made_again(
    gin_file, six_steps, tmp_path, monkeypatch, replaced
):
    """It goes while the arrays are copied, after the line of the log; another run may take its place."""
    run, other = tmp_path / "run", tree(six_steps)

    def copied(*parts):
        os.rename(run, tmp_path / "moved")
        if replaced:
            shutil.copytree(six_steps, run)
        return checkpoint_arrays(*parts)

    monkeypatch.setattr(loop, "checkpoint_arrays", copied)
    with pytest.raises(SaveError, match="was removed, moved or replaced during training"):
        train_here(gin_file, run)
    assert (tree(run) == other) if replaced else not run.exists()


def test_a_directory_that_goes_while_a_checkpoint_is_written_is_not_taken_for_a_full_disk(
    gin_file, tmp_path, monkeypatch
):
    run, write = tmp_path / "run", checkpoints.save_checkpoint

    def written(*arguments):
        os.rename(run, tmp_path / "moved")
        return write(*arguments)

    monkeypatch.setattr(loop, "save_checkpoint", written)
    with pytest.raises(SaveError, match="was removed, moved or replaced during training"):
        train_here(gin_file, run)
    assert not run.exists() and newest_step(tmp_path / "moved") == 0


def test_a_signal_is_noted_until_the_last_save_is_done(gin_file, tmp_path, monkeypatch):
    """Training fails while the checkpoint of step 3 is written, and SIGTERM comes before that is done."""
    leaving, came = threading.Event(), []
    write, leave = checkpoints.save_checkpoint, BackgroundSave.__exit__

    def left(self, *error):
        leaving.set()
        leave(self, *error)

    def written(*arguments):
        assert leaving.wait(SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        return write(*arguments)

    def reported(self, progress):
        if self._done == 5:
            raise UserError("training fails")

    monkeypatch.setattr(loop, "RECENT_STEPS", 1)
    monkeypatch.setattr(loop.TrainingLoop, "_report", reported)
    monkeypatch.setattr(loop, "save_checkpoint", written)
    monkeypatch.setattr(BackgroundSave, "__exit__", left)
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with pytest.raises(UserError, match="training fails"):
            train_here(gin_file, tmp_path / "run")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert leaving.is_set() and not came
    assert latest(tmp_path / "run").step == 3
