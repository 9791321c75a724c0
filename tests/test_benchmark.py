"""The benchmark: its figures fit each other, and it leaves nothing behind."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import TINY, experiment_of, glyphs, run_here, tree, write_gin

from hypertransformer_tf.benchmarks.scaling_model import Measured
from hypertransformer_tf.training.build import build_training


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def result(folder):
    """What `bin/benchmark --json` prints."""
    gin_file = write_gin(folder / "tiny.gin", "training.task_batch = 4", "training.groups = 2")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(folder)
        assert run_here(patch, "benchmark", f"--gin_file={gin_file}", "--seconds=0.5", "--json", "--costs") == 0
    return json.loads(out.getvalue())


def test_it_says_what_was_measured(result, folder):
    assert result["gin_file"] == str(folder / "tiny.gin")
    assert (result["task_batch"], result["groups"], result["replicas"]) == (4, 2, 1)
    assert result["tensorflow"] == tf.__version__ and "cores" in result["machine"]


def test_its_figures_fit_each_other(result):
    speed = result["measured_steps"] * result["task_batch"] / result["measured_seconds"]
    assert result["measured_steps"] >= 1 and result["measured_seconds"] >= 0.5
    assert result["episodes_per_second"] == pytest.approx(speed)
    assert result["milliseconds_per_episode"] == pytest.approx(1000 / speed)


def test_steps_do_not_wait_for_their_episodes_all_the_time(result):
    assert 0 <= result["input_wait"] < 1


def test_start_and_memory_are_those_of_this_process(result):
    assert 0 < result["first_step_seconds"] < 3600
    assert 100 < result["peak_memory_mb"] < 100_000


def test_costs_are_those_of_the_configuration(result):
    experiment = experiment_of(settings=TINY)
    sampler, costs = experiment.training_sampler(glyphs()), result["costs"]
    variables = build_training(experiment, glyphs(), "one_device").model.trainable_variables
    assert costs["gradient_bytes"] == 4 * sum(int(np.prod(variable.shape)) for variable in variables)
    assert costs["episode_bytes"] == sum(field.nbytes for field in sampler.task_batch(0, 1))
    assert costs["checkpoint_bytes"] > 3 * costs["gradient_bytes"]  # variables and Adam's two moments
    assert all(0 < costs[name] < 60 for name in costs if name.endswith("_seconds"))
    assert (costs["steps"], costs["checkpoint_every"], costs["validation_episodes"]) == (6, 3, 4)


def test_costs_are_what_a_prediction_is_made_from(result, tmp_path):
    (tmp_path / "measured.json").write_text(json.dumps(result))
    measured = Measured.read(tmp_path / "measured.json")
    assert measured.task_batch / measured.step_seconds == pytest.approx(result["episodes_per_second"])


@pytest.mark.parametrize("flags", [("--costs",), ("--costs", "--json", "--sweep")])
def test_costs_are_for_a_program_to_read(flags, monkeypatch, capsys):
    assert run_here(monkeypatch, "benchmark", "--gin_file=quickstart.gin", *flags) == 2
    assert "--costs goes with --json, and not with --sweep" in capsys.readouterr().err


def test_nothing_is_kept(result, folder):
    assert set(tree(folder)) == {"tiny.gin"}
