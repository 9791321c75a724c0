"""Stopping a run, in whatever way, and going on changes nothing."""

import errno
import os
import pathlib
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from small_runs import (
    assert_same_state,
    glyphs,
    latest,
    metrics_of,
    newest_step,
    run_command,
    run_here,
    start_command,
    starts_of,
    train_here,
    tree,
    wait_until,
    write_gin,
)

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.runs.checkpoints import load_best, load_latest
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import read_configuration
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.loop import TrainingLoop

LONG_STEPS = 1_500
LONG = (
    f"training.steps = {LONG_STEPS}",
    "training.checkpoint_every = 20",
    "training.validate_every = 0",
    "optimizer.average = 0.9",  # so that what a checkpoint's model is, and what goes on, are not the same
)
# What the quick start's users train, in few steps: the folded form under XLA, two groups on a core each.
COMPILED = (
    "training.compile = True",
    "training.groups = 2",
    "training.steps = 60",
    "training.checkpoint_every = 5",
    "training.validate_every = 30",
    "training.validation_episodes = 8",
    "training.log_every = 5",
    "evaluation.episodes = 8",
    "evaluation.pixel_baseline = False",
)
ENDLESS = ("training.steps = 1_000_000", "training.checkpoint_every = 7", "training.validate_every = 0")


@pytest.fixture(scope="module")
def long_gin_file(tmp_path_factory):
    return write_gin(tmp_path_factory.mktemp("gin") / "long.gin", *LONG)


@pytest.fixture(scope="module")
def never_killed(long_gin_file, tmp_path_factory):
    """The directory of a longer run that was never stopped."""
    return train_here(long_gin_file, tmp_path_factory.mktemp("runs") / "long").run_dir


def test_a_run_that_was_continued_is_bit_for_bit_one_that_was_not(six_steps, gin_file, tmp_path, capsys):
    train_here(gin_file, tmp_path, steps=3)
    assert latest(tmp_path).step == 3
    capsys.readouterr()
    result = train_here(gin_file, tmp_path, steps=6)
    assert "continued from step 3" in capsys.readouterr().out
    assert_same_state(latest(tmp_path), latest(six_steps))
    ours, theirs = (read_metrics(run / "metrics.jsonl")[-1] for run in (tmp_path, six_steps))
    assert ours == theirs and ours["test/accuracy"] == result.test.mean
    measured_at_3 = [line for line in metrics_of(tmp_path) if "test/step" in line and line["step"] == 3]
    assert [line for line in metrics_of(tmp_path) if line not in measured_at_3] == metrics_of(six_steps)
    assert [(start["from_step"], start["to_step"]) for start in starts_of(tmp_path)] == [(0, 3), (3, 6)]


@pytest.mark.slow
def test_a_run_in_float16_goes_on_bit_for_bit_with_its_scale(tmp_path):
    gin_file = write_gin(tmp_path / "half.gin", "training.precision = 'float16'", "optimizer.average = 0.9")
    train_here(gin_file, tmp_path / "whole")
    train_here(gin_file, tmp_path / "parts", steps=3)
    train_here(gin_file, tmp_path / "parts", steps=6)
    assert_same_state(latest(tmp_path / "parts"), latest(tmp_path / "whole"))
    scale, finite_steps = latest(tmp_path / "whole").arrays["update/loss_scale"]
    assert scale == 2.0**15 and finite_steps == 6
    assert latest(tmp_path / "whole").arrays["update/trained_variables"].dtype == np.float32


def test_a_finished_run_only_says_again_what_it_came_to(six_steps, gin_file, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    monkeypatch.setattr(TrainingLoop, "measure_best", lambda *arguments: pytest.fail("it was measured already"))
    result = train_here(gin_file, run)
    assert tree(run / "checkpoints") == tree(six_steps / "checkpoints")
    assert (run / "metrics.jsonl").read_bytes() == (six_steps / "metrics.jsonl").read_bytes()
    assert result.test.mean == read_metrics(run / "metrics.jsonl")[-1]["test/accuracy"] and result.test.episodes == 8
    assert f"test accuracy {result.test}, on classes never trained on" in capsys.readouterr().out
    with pytest.raises(UserError, match="is fewer than the 6 steps"):
        train_here(gin_file, run, steps=5)
    assert read_configuration(run)["training"]["steps"] == 6


def test_a_finished_run_is_measured_again_with_another_number_of_queries(six_steps, gin_file, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    train_here(gin_file, run, gin_bindings=["evaluation.queries_per_class = 4"])
    measured = [line for line in metrics_of(run) if "test/step" in line]
    assert [line["test/queries_per_class"] for line in measured] == [2, 4]


def test_a_run_is_finished_once_it_was_measured(six_steps, gin_file, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    (run / "metrics.jsonl").unlink()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "measure_best", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_here(gin_file, run)
    assert starts_of(run)[-1]["outcome"] == "interrupted"
    train_here(gin_file, run)
    assert starts_of(run)[-1]["outcome"] == "finished"
    assert read_metrics(run / "metrics.jsonl")[-1] == read_metrics(six_steps / "metrics.jsonl")[-1]


def test_sigterm_while_it_measures_ends_the_command_as_one_while_it_trains_does(
    six_steps, gin_file, tmp_path, monkeypatch
):
    run, came = tmp_path / "run", []
    shutil.copytree(six_steps, run)
    (run / "metrics.jsonl").unlink()

    def asked_to_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it goes on measuring")

    monkeypatch.setattr(TrainingLoop, "measure_best", asked_to_stop)
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        ours = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={run}")
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 143 and not came
    start = starts_of(run)[-1]
    assert start["outcome"] == "interrupted" and start["ended"] and start["to_step"] == 6


@pytest.mark.slow
def test_sigterm_while_it_measures_is_passed_on_and_nothing_started_again(tmp_path):
    run, changes = tmp_path / "run", ("evaluation.episodes = 1_000_000",)
    gin_file = write_gin(tmp_path / "long.gin", *changes)
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}", "--restarts=3") as process:
        wait_until(lambda: newest_step(run) == 6, process, 600)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (143, "")
    (start,) = starts_of(run)
    assert start["outcome"] == "interrupted" and start["ended"] and start["to_step"] == 6


@pytest.mark.parametrize("step, turn", [(3, 2), (6, 6)])
def test_a_validation_that_was_interrupted_is_made_up_for(six_steps, gin_file, tmp_path, monkeypatch, step, turn):
    """Its checkpoint is there at once, and going on gives what a run gave that was left alone, the best model too."""
    measured, turns = Evaluator._measured, []

    def asked_to_stop(*arguments):
        turns.append(arguments)
        if len(turns) == turn:  # of the four that each validation has here
            os.kill(os.getpid(), signal.SIGINT)
        return measured(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "_measured", asked_to_stop)
        patch.setattr("hypertransformer_tf.evaluation.protocol.EPISODES_AT_ONCE", 1)
        with pytest.raises(
            KeyboardInterrupt, match=f"Interrupted at step {step}; saved.*, with the validation that was"
        ):
            train_here(gin_file, tmp_path)
    assert latest(tmp_path).step == step and latest(tmp_path).metadata["validation_pending"]
    assert len(turns) == turn
    assert [line["step"] for line in metrics_of(tmp_path) if "validation/accuracy" in line] == (
        [] if step == 3 else [3]
    )
    train_here(gin_file, tmp_path)
    assert metrics_of(tmp_path) == metrics_of(six_steps)
    assert_same_state(latest(tmp_path), latest(six_steps))
    ours, theirs = (load_best(run / "checkpoints") for run in (tmp_path, six_steps))
    assert (ours.step, ours.metadata) == (theirs.step, theirs.metadata)
    np.testing.assert_equal(ours.arrays, theirs.arrays)


def test_a_validation_is_made_up_for_with_averages_and_though_killed_again(tmp_path, monkeypatch):
    """SIGTERM in the first validation, then an end between the one made up for and its checkpoint."""
    gin_file, run = write_gin(tmp_path / "average.gin", "optimizer.average = 0.9"), tmp_path / "run"
    train_here(gin_file, tmp_path / "whole")
    measured = Evaluator._measured

    def asked_to_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return measured(*arguments)

    def killed(*arguments):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "_measured", asked_to_stop)
        patch.setattr("hypertransformer_tf.evaluation.protocol.EPISODES_AT_ONCE", 1)
        with pytest.raises(SystemExit):
            train_here(gin_file, run)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_save", killed)
        with pytest.raises(RuntimeError):
            train_here(gin_file, run)
    assert latest(run).step == 3 and latest(run).metadata["validation_pending"]
    assert "validation/accuracy" in metrics_of(run)[-1]
    train_here(gin_file, run)
    assert metrics_of(run) == metrics_of(tmp_path / "whole")
    assert_same_state(latest(run), latest(tmp_path / "whole"))


def test_a_best_checkpoint_that_is_damaged_gives_way_to_the_newest(six_steps, gin_file, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    (run / "metrics.jsonl").unlink()
    os.truncate(run / "checkpoints" / "best.safetensors", 100)
    train_here(gin_file, run)
    assert read_metrics(run / "metrics.jsonl")[-1]["test/step"] == 6
    assert any("best.safetensors is damaged" in message and "step 6" in message for message in caplog.messages)


def test_going_on_with_other_means_is_said(six_steps, gin_file, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    record = (run / "run.json").read_text().replace(f'"tensorflow": "{tf.__version__}"', '"tensorflow": "2.14.9"')
    (run / "run.json").write_text(record)
    train_here(gin_file, run)
    assert [f"tensorflow 2.14.9 -> {tf.__version__}" in message for message in caplog.messages] == [True]


def _damaged(six_steps, run):
    shutil.copytree(six_steps, run)
    os.truncate(run / "checkpoints" / "checkpoint-00000006.safetensors", 1_000)
    return run


def test_the_checkpoint_before_a_damaged_one_is_taken(six_steps, gin_file, tmp_path):
    run = _damaged(six_steps, tmp_path / "run")
    train_here(gin_file, run)
    assert starts_of(run)[-1]["from_step"] == 3
    assert_same_state(latest(run), latest(six_steps))


def test_the_checkpoint_before_an_unreadable_one_is_taken(six_steps, gin_file, tmp_path, monkeypatch, caplog):
    run, read = tmp_path / "run", pathlib.Path.read_bytes
    shutil.copytree(six_steps, run)

    def fails(path):
        if path == run / "checkpoints" / "checkpoint-00000006.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "read_bytes", fails)
        train_here(gin_file, run)
    assert starts_of(run)[-1]["from_step"] == 3
    assert any("cannot be read (Input/output error); continuing from step 3" in each for each in caplog.messages)
    assert_same_state(latest(run), latest(six_steps))


@pytest.mark.slow
def test_the_command_names_a_damaged_checkpoint(six_steps, gin_file, tmp_path):
    run = _damaged(six_steps, tmp_path / "run")
    done = run_command("train", f"--gin_file={gin_file}", f"--run_dir={run}")
    assert done.returncode == 0 and done.stderr.count("\n") == 1, done.stderr
    assert "checkpoint-00000006.safetensors is damaged" in done.stderr and "continuing from step 3" in done.stderr
    assert_same_state(latest(run), latest(six_steps))


def _kill_while_training(gin_file, run_dir, seconds):
    """Starts the command, kills it some time after it has saved something new, and gives the step it had reached."""
    before = newest_step(run_dir)
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run_dir}") as process:
        wait_until(lambda: newest_step(run_dir) > before, process)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL, "it had ended before"
    return max([line["step"] for line in read_metrics(run_dir / "metrics.jsonl")] + [newest_step(run_dir)])


@pytest.mark.slow
def test_a_run_killed_at_ten_random_moments_is_bit_for_bit_one_that_was_not(never_killed, long_gin_file, tmp_path):
    run, moments = tmp_path / "run", random.Random(0)
    reached = [_kill_while_training(long_gin_file, run, moments.uniform(0, 0.3)) for _ in range(10)]
    train_here(long_gin_file, run)
    assert_same_state(latest(run), latest(never_killed))
    assert metrics_of(run) == metrics_of(never_killed)
    # No more was trained again than an interval between checkpoints, and the steps while the last was being written.
    for step, start in zip(reached, starts_of(run)[1:]):
        assert step - 40 <= start["from_step"] <= step + 20


@pytest.mark.slow
def test_a_run_of_the_quick_starts_model_compiled_and_in_groups_is_killed_without_a_difference(tmp_path):
    (tmp_path / "quick.gin").write_text("\n".join(("include 'quickstart.gin'", *COMPILED)) + "\n")
    experiment = load_experiment(str(tmp_path / "quick.gin"))
    assert experiment.cnn.architecture == "maxpool-4-layer" and experiment.training.groups == 2
    assert build_training(experiment, glyphs(), "one_device").model.convolution_form == "folded"
    whole = train_here(tmp_path / "quick.gin", tmp_path / "whole").run_dir
    run, moments = tmp_path / "run", random.Random(2)
    for _ in range(2):
        _kill_while_training(tmp_path / "quick.gin", run, moments.uniform(0, 0.3))
    train_here(tmp_path / "quick.gin", run)
    assert_same_state(latest(run), latest(whole))
    assert metrics_of(run) == metrics_of(whole)


@pytest.mark.slow
def test_a_run_killed_ten_times_even_while_it_starts_or_ends_loses_nothing(never_killed, long_gin_file, tmp_path):
    run, moments = tmp_path / "run", random.Random(1)
    flags = (f"--gin_file={long_gin_file}", f"--run_dir={run}")
    began = time.monotonic()
    with start_command("train", *flags) as process:
        wait_until(lambda: newest_step(run) > 0, process)
        process.kill()
        process.communicate()
    until_training = time.monotonic() - began
    for _ in range(9):
        with start_command("train", *flags) as process:
            time.sleep(moments.uniform(0, 1.3 * until_training))
            process.kill()
            process.communicate()
        assert load_latest(run / "checkpoints", pytest.fail).step > 0
    with start_command("train", *flags) as process:
        process.communicate()
    assert process.returncode == 0
    assert_same_state(latest(run), latest(never_killed))
    lines = [line["step"] for line in read_metrics(run / "metrics.jsonl") if "train/loss" in line]
    assert lines == sorted(set(lines))


@pytest.mark.parametrize(
    "number, status, says",
    [
        (signal.SIGINT, 130, r"Interrupted at step (\d+); saved\. The same command goes on from there\.\n"),
        pytest.param(signal.SIGTERM, 143, r"()", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_asked_to_stop_saves_first(tmp_path, number, status, says):
    run = tmp_path / "run"
    gin_file = write_gin(tmp_path / "endless.gin", *ENDLESS)
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}") as process:
        wait_until(lambda: newest_step(run) > 0, process)
        with pytest.raises(UserError, match=f"is being used by process {process.pid}:"):
            train_here(gin_file, run)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status
    said, (start,) = re.fullmatch(says, err), starts_of(run)
    assert said, err
    assert start["outcome"] == "interrupted" and start["to_step"] == latest(run).step > 0
    assert said[1] in ("", str(start["to_step"]))
    assert latest(run).step == int(np.asarray(latest(run).arrays["optimizer/00000"]))  # the very step it had done
