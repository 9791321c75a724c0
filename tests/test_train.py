"""A run as a whole: what it leaves behind and what it came to."""

import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import (
    SMALL,
    latest,
    own_configuration,
    starts_of,
    train_here,
    write_gin,
)

from hypertransformer_tf.runs.checkpoints import load_best
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import read_configuration
from hypertransformer_tf.training.train import load_experiment


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
    (start,) = starts_of(six_steps)
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


@pytest.mark.slow
def test_a_run_learns_to_tell_glyphs_it_has_never_seen_apart(tmp_path, capsys):
    changes = ("training.steps = 400", "training.task_batch = 4", "training.validate_every = 200", "loss.l2 = 0.0001")
    gin_file = write_gin(tmp_path / "small.gin", *changes, "evaluation.episodes = 400", settings=SMALL)
    result = train_here(gin_file, tmp_path / "run")
    assert result.test.mean - result.test.interval_95 > 0.55  # 0.5 is chance
    assert result.test.episodes == 400 and result.pixels is None
    shown = capsys.readouterr().out
    assert "compiling" not in shown  # as XLA is not asked for
    assert "280 train, 40 validation, 80 test classes; 2-way 1-shot episodes" in shown
    assert f"test accuracy {result.test}, on classes never trained on" in shown


def test_nearest_neighbour_on_pixels_is_shown_beside_it(tmp_path, capsys):
    gin_file = write_gin(tmp_path / "tiny.gin", "evaluation.pixel_baseline = True", "training.steps = 1")
    result = train_here(gin_file, tmp_path / "run")
    assert 0 < result.pixels.mean < 1 and f"nearest neighbour on pixels: {result.pixels}" in capsys.readouterr().out
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["test/pixel_accuracy"] == result.pixels.mean


def test_the_model_that_is_kept_and_measured_is_the_average_of_the_weights(tmp_path):
    changes = ("optimizer.average = 0.9", "training.validate_every = 4", "training.checkpoint_every = 4")
    run = train_here(write_gin(tmp_path / "averaged.gin", *changes, "training.steps = 4"), tmp_path / "run").run_dir
    best, newest = load_best(run / "checkpoints").arrays, latest(run).arrays
    assert best
    for name, array in best.items():
        np.testing.assert_array_equal(array, newest[name], err_msg=name)
    trained = newest["update/trained_variables"]
    averaged = np.concatenate([array.ravel() for name, array in best.items() if name.startswith("model/")])
    assert trained.size == averaged.size  # this model has no other variables
    assert not np.allclose(np.sort(trained), np.sort(averaged), atol=1e-6)
