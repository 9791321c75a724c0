"""Saves on a thread: one at a time, none lost, none failing in silence."""

import threading

import numpy as np
import pytest
from small_runs import TINY, assert_same_state, experiment_of, glyphs, latest, train_here

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import checkpoints
from hypertransformer_tf.runs.background_save import BackgroundSave
from hypertransformer_tf.runs.state import model_arrays, optimizer_arrays
from hypertransformer_tf.training import loop
from hypertransformer_tf.training.build import build_training

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


def test_what_is_saved_does_not_change_with_the_model():
    parts = build_training(experiment_of(settings=TINY), glyphs(), "one_device")
    arrays = {**model_arrays(parts.model), **optimizer_arrays(parts.optimizer), **parts.update.state()}
    before = {name: array.copy() for name, array in arrays.items()}
    parts.update.apply(0.0 * parts.update.vector + 1.0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
