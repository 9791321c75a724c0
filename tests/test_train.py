"""A run as a whole: what it leaves behind, and that stopping it, in whatever way, changes nothing."""

import errno
import json
import os
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from numpy_reference import value
from small_runs import (
    SMALL,
    TINY,
    assert_same_state,
    experiment_of,
    glyphs,
    latest,
    newest_step,
    own_configuration,
    run_here,
    start_command,
    tree,
    wait_until,
    write_gin,
)

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs.checkpoints import load_best, load_latest
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.runs.run_directory import read_configuration
from hypertransformer_tf.runs.state import model_arrays, restore_shared_features
from hypertransformer_tf.training import build
from hypertransformer_tf.training.loop import TrainingLoop
from hypertransformer_tf.training.progress import ProgressReporter
from hypertransformer_tf.training.step import Losses
from hypertransformer_tf.training.train import load_experiment, train

LONG_STEPS = 1_500
LONG = (f"training.steps = {LONG_STEPS}", "training.checkpoint_every = 20", "training.validate_every = 0")
ENDLESS = ("training.steps = 1_000_000", "training.checkpoint_every = 7", "training.validate_every = 0")


def _train(gin_file, run_dir, **arguments):
    with own_configuration():
        return train(gin_file, run_dir=str(run_dir), **arguments)


def _starts(run_dir):
    return json.loads((run_dir / "run.json").read_text())["starts"]


def _metrics(run_dir):
    """The lines of a run's metrics without what depends on the machine's pace."""
    lines = read_metrics(run_dir / "metrics.jsonl")
    return [{name: value for name, value in line.items() if "per_second" not in name} for line in lines]


@pytest.fixture(scope="module")
def gin_file(tmp_path_factory):
    return write_gin(tmp_path_factory.mktemp("gin") / "tiny.gin")


@pytest.fixture(scope="module")
def six_steps(gin_file, tmp_path_factory):
    """The directory of a run that was never stopped."""
    return _train(gin_file, tmp_path_factory.mktemp("runs") / "six").run_dir


@pytest.fixture(scope="module")
def long_gin_file(tmp_path_factory):
    return write_gin(tmp_path_factory.mktemp("gin") / "long.gin", *LONG)


@pytest.fixture(scope="module")
def never_killed(long_gin_file, tmp_path_factory):
    """The directory of a longer run that was never stopped."""
    return _train(long_gin_file, tmp_path_factory.mktemp("runs") / "long").run_dir


# --- what a run leaves behind -----------------------------------------------------------------------------------------


def test_a_run_keeps_everything_about_it_in_its_directory(six_steps, gin_file):
    names = {path.name for path in six_steps.iterdir()}
    files = {"config.gin", "config.json", "data.json", "run.json", "metrics.jsonl"}
    assert names == files | {".lock", "tensorboard", "checkpoints"}
    assert [path.name for path in sorted((six_steps / "checkpoints").iterdir())] == [
        "best.safetensors",
        "checkpoint-00000003.safetensors",
        "checkpoint-00000006.safetensors",
    ]
    assert any(path.stat().st_size > 0 for path in (six_steps / "tensorboard").glob("events.out.tfevents.*"))
    (start,) = _starts(six_steps)
    assert (start["outcome"], start["from_step"], start["to_step"], start["seed"]) == ("finished", 0, 6, 0)
    assert start["devices"] == {"strategy": "OneDeviceStrategy", "replicas": 1, "tensorflow": tf.__version__}


def test_its_configuration_repeats_it(six_steps, gin_file):
    with own_configuration():
        given, kept = load_experiment(gin_file), load_experiment(str(six_steps / "config.gin"))
    assert given == kept
    assert read_configuration(six_steps) == json.loads(json.dumps(given.effective()))


def test_its_metrics_are_those_of_training_validation_and_test(six_steps):
    lines = read_metrics(six_steps / "metrics.jsonl")
    assert [line["step"] for line in lines if "validation/accuracy" in line] == [3, 6]
    assert [line["step"] for line in lines if "test/accuracy" in line] == [6]
    trained = [line for line in lines if "train/loss" in line]
    assert [line["step"] for line in trained] == [2, 3, 4, 6]  # every second step, and before a checkpoint
    assert trained[-1]["train/learning_rate"] == pytest.approx(0.01)
    assert all(0 <= line["train/accuracy"] <= 1 and line["train/episodes_per_second"] > 0 for line in trained)
    best = load_best(six_steps / "checkpoints")
    accuracies = {line["step"]: line["validation/accuracy"] for line in lines if "validation/accuracy" in line}
    assert accuracies[best.step] == max(accuracies.values()) == best.metadata["validation"]
    assert lines[-1]["test/step"] == best.step
    assert latest(six_steps).metadata["best_validation"] == best.metadata["validation"]


def test_a_run_learns_to_tell_glyphs_it_has_never_seen_apart(tmp_path, capsys):
    changes = ("training.steps = 400", "training.task_batch = 4", "training.validate_every = 200", "loss.l2 = 0.0001")
    gin_file = write_gin(tmp_path / "small.gin", *changes, "evaluation.episodes = 100", settings=SMALL)
    result = _train(gin_file, tmp_path / "run")
    assert result.test.mean - result.test.interval_95 > 0.55  # 0.5 is chance
    assert result.test.episodes == 100 and result.pixels is None
    shown = capsys.readouterr().out
    assert "280 train, 40 validation, 80 test classes; 2-way 1-shot episodes" in shown
    assert f"test accuracy {result.test}, on classes never trained on" in shown


def test_nearest_neighbour_on_pixels_is_shown_beside_it(tmp_path, capsys):
    gin_file = write_gin(tmp_path / "tiny.gin", "evaluation.pixel_baseline = True", "training.steps = 1")
    result = _train(gin_file, tmp_path / "run")
    assert 0 < result.pixels.mean < 1 and f"nearest neighbour on pixels: {result.pixels}" in capsys.readouterr().out
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["test/pixel_accuracy"] == result.pixels.mean


# --- stopping and going on --------------------------------------------------------------------------------------------


def test_a_run_that_was_continued_is_bit_for_bit_one_that_was_not(six_steps, gin_file, tmp_path, capsys):
    _train(gin_file, tmp_path, steps=3)
    assert latest(tmp_path).step == 3
    capsys.readouterr()
    result = _train(gin_file, tmp_path, steps=6)
    assert "continued from step 3" in capsys.readouterr().out
    assert_same_state(latest(tmp_path), latest(six_steps))
    ours, theirs = (read_metrics(run / "metrics.jsonl")[-1] for run in (tmp_path, six_steps))
    assert ours == theirs and ours["test/accuracy"] == result.test.mean
    measured_at_3 = [line for line in _metrics(tmp_path) if "test/step" in line and line["step"] == 3]
    assert [line for line in _metrics(tmp_path) if line not in measured_at_3] == _metrics(six_steps)
    assert [(start["from_step"], start["to_step"]) for start in _starts(tmp_path)] == [(0, 3), (3, 6)]


def test_a_finished_run_only_says_again_what_it_came_to(six_steps, gin_file, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    monkeypatch.setattr(TrainingLoop, "measure_best", lambda *arguments: pytest.fail("it was measured already"))
    result = _train(gin_file, run)
    assert tree(run / "checkpoints") == tree(six_steps / "checkpoints")
    assert (run / "metrics.jsonl").read_bytes() == (six_steps / "metrics.jsonl").read_bytes()
    assert result.test.mean == read_metrics(run / "metrics.jsonl")[-1]["test/accuracy"] and result.test.episodes == 8
    assert f"test accuracy {result.test}, on classes never trained on" in capsys.readouterr().out
    with pytest.raises(UserError, match="is fewer than the 6 steps"):
        _train(gin_file, run, steps=5)
    assert read_configuration(run)["training"]["steps"] == 6


def test_a_run_is_finished_once_it_was_measured(six_steps, gin_file, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    (run / "metrics.jsonl").unlink()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "measure_best", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(gin_file, run)
    assert _starts(run)[-1]["outcome"] == "interrupted"
    _train(gin_file, run)
    assert _starts(run)[-1]["outcome"] == "finished"
    assert read_metrics(run / "metrics.jsonl")[-1] == read_metrics(six_steps / "metrics.jsonl")[-1]


def test_a_best_checkpoint_that_is_damaged_gives_way_to_the_newest(six_steps, gin_file, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    (run / "metrics.jsonl").unlink()
    os.truncate(run / "checkpoints" / "best.safetensors", 100)
    _train(gin_file, run)
    assert read_metrics(run / "metrics.jsonl")[-1]["test/step"] == 6
    assert any("best.safetensors is damaged" in message and "step 6" in message for message in caplog.messages)


def test_going_on_with_other_means_is_said(six_steps, gin_file, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    record = (run / "run.json").read_text().replace(f'"tensorflow": "{tf.__version__}"', '"tensorflow": "2.15.1"')
    (run / "run.json").write_text(record)
    _train(gin_file, run)
    assert [f"tensorflow 2.15.1 -> {tf.__version__}" in message for message in caplog.messages] == [True]


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_taken(six_steps, gin_file, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(six_steps, run)
    os.truncate(run / "checkpoints" / "checkpoint-00000006.safetensors", 1_000)
    _train(gin_file, run)
    said = [message for message in caplog.messages if "checkpoint-00000006.safetensors" in message]
    assert len(said) == 1 and "is damaged" in said[0] and "continuing from step 3" in said[0]
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


def test_a_run_killed_at_random_moments_is_bit_for_bit_one_that_was_not(never_killed, long_gin_file, tmp_path):
    run, moments = tmp_path / "run", random.Random(0)
    reached = [_kill_while_training(long_gin_file, run, moments.uniform(0, 0.3)) for _ in range(3)]
    _train(long_gin_file, run)
    assert_same_state(latest(run), latest(never_killed))
    assert _metrics(run) == _metrics(never_killed)
    # No more than one interval between checkpoints was trained again.
    for step, start in zip(reached, _starts(run)[1:]):
        assert step - 20 <= start["from_step"] <= step + 20


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
        (signal.SIGTERM, 143, r"()"),
    ],
)
def test_a_run_that_is_asked_to_stop_saves_first(tmp_path, number, status, says):
    run = tmp_path / "run"
    gin_file = write_gin(tmp_path / "endless.gin", *ENDLESS)
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}") as process:
        wait_until(lambda: newest_step(run) > 0, process)
        with pytest.raises(UserError, match=f"is being used by process {process.pid}:"):
            _train(gin_file, run)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status
    said, (start,) = re.fullmatch(says, err), _starts(run)
    assert said, err
    assert start["outcome"] == "interrupted" and start["to_step"] == latest(run).step > 0
    assert said[1] in ("", str(start["to_step"]))
    assert latest(run).step == int(np.asarray(latest(run).arrays["optimizer/00000"]))  # the very step it had done


# --- when training goes wrong -----------------------------------------------------------------------------------------


def _loop(run, step, *changes):
    """A training loop whose step is given, over a run directory that is a folder and nothing more."""
    experiment = experiment_of("training.steps = 50", "training.validate_every = 0", *changes, settings=TINY)
    images = glyphs()
    parts = build.build_training(experiment, images, "one_device")
    parts = parts._replace(step=step(parts))
    return TrainingLoop(parts, experiment.training_sampler(images), None, run, experiment.training)


class _Folder:
    """What a loop needs of a run directory."""

    def __init__(self, path):
        self.path, self.checkpoints = path, path / "checkpoints"

    def append_metrics(self, values):
        pass


def _refused(loop):
    with pytest.raises(UserError) as caught:
        loop.train(ProgressReporter(50))
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


def test_tensorboard_files_that_cannot_be_written_are_an_error_of_saving(tmp_path, monkeypatch):
    def full(*arguments):
        raise tf.errors.UnknownError(None, None, "No space left on device")

    loop = _loop(_Folder(tmp_path), lambda parts: lambda batch, step: Losses(*[np.float32(1)] * 3))
    monkeypatch.setattr(tf.summary, "scalar", full)
    with pytest.raises(SaveError, match="tensorboard could not be written: No space left on device; the checkpoints"):
        loop.train(ProgressReporter(50))


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
    assert _starts(tmp_path / "run")[0]["outcome"] == "stopped by an error"


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
    _train(gin_file, run)
    assert_same_state(latest(run), latest(six_steps))


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
        _train(gin_file, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_strategy_that_cannot_be_had_leaves_no_directory(gin_file, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG"):
        _train(gin_file, tmp_path / "run", strategy="multi_worker")
    assert not (tmp_path / "run").exists()


# --- pre-training -----------------------------------------------------------------------------------------------------


def test_shared_features_are_pre_trained_alone_and_another_run_begins_with_them(tmp_path):
    changes = ("loss.shared_head = 1.0", "loss.only_shared_head = True", "training.validate_every = 1")
    first = _train(write_gin(tmp_path / "first.gin", *changes), tmp_path / "first").run_dir
    taken = f"training.shared_features_from = '{first}'"
    still = ("optimizer.name = 'sgd'", "optimizer.learning_rate = 0.0", "training.steps = 1")
    second = _train(write_gin(tmp_path / "second.gin", taken, *still), tmp_path / "second").run_dir

    pre_trained, begun = latest(first).arrays, latest(second).arrays
    with own_configuration():
        fresh = build.build_training(experiment_of(*changes, settings=TINY), glyphs(), "one_device").model
    untrained = {f"model/{name}": value(variable) for name, variable in fresh.named_variables().items()}
    shared = {name for name in begun if name.startswith("model/shared_features/")}
    assert shared
    for name in begun.keys() & pre_trained.keys():
        if not name.startswith("model/"):
            continue
        if name in shared:
            np.testing.assert_array_equal(begun[name], pre_trained[name], err_msg=name)
            assert (pre_trained[name] != untrained[name]).any()
        else:
            np.testing.assert_allclose(pre_trained[name], untrained[name], rtol=1e-6, err_msg=name)
    assert not any(name.startswith("model/shared_head/") for name in begun)

    # Its own checkpoint has them now: the other run is not needed to go on.
    shutil.rmtree(first)
    assert _train(tmp_path / "second.gin", tmp_path / "second", steps=2).run_dir == second
    assert latest(second).step == 2


def test_shared_features_that_two_models_do_not_have_in_common_are_refused(tmp_path):
    images = glyphs()
    two, four = (
        build_model(experiment_of(f"features.shared_layers = {layers}", *changes, settings=TINY), images)
        for layers, changes in ((2, ()), (4, ("loss.shared_head = 1.0",)))
    )
    arrays = model_arrays(four)
    restore_shared_features(two, arrays)
    shared = {name: array for name, array in model_arrays(two).items() if name.startswith("model/shared_features/")}
    assert shared
    for name, array in shared.items():
        np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(UserError, match="none of this model's shared features"):
        restore_shared_features(two, {name: array for name, array in arrays.items() if "shared_features" not in name})
    wider = build_model(experiment_of("features.shared_dim = 6", settings=TINY), images)
    with pytest.raises(UserError, match="does not fit"):
        restore_shared_features(wider, arrays)
