"""The benchmark: its figures fit each other, and it leaves nothing behind."""

import contextlib
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import SMALL, TINY, experiment_of, glyphs, run_here, tree, write_gin

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


@pytest.mark.parametrize(
    "flags", [("--costs",), ("--costs", "--json", "--sweep"), ("--costs", "--json", "--beside=a.gin")]
)
def test_costs_are_for_a_program_to_read(flags, monkeypatch, capsys):
    assert run_here(monkeypatch, "benchmark", "--gin_file=quickstart.gin", *flags) == 2
    assert "--costs goes with --json, and not with --sweep" in capsys.readouterr().err


def test_nothing_is_kept(result, folder):
    assert set(tree(folder)) == {"tiny.gin"}


@pytest.fixture(scope="module")
def in_turns(folder):
    """What `bin/benchmark --json --beside` prints of a model, of a much larger one, and of another method."""
    one = write_gin(folder / "one.gin", "training.task_batch = 2", "episodes.queries_per_class = 1")
    larger = ("episodes.queries_per_class = 14", "cnn.channels = 32")
    much = write_gin(folder / "much.gin", "training.task_batch = 2", *larger)
    baseline = ("method.name = 'prototypical'", "training.task_batch = 2")
    other = write_gin(folder / "other.gin", *baseline, settings=SMALL)
    flags = (f"--gin_file={one}", f"--beside={much}", f"--beside={other}", "--seconds=1", "--json")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(folder)
        assert run_here(patch, "benchmark", *flags) == 0
    for name in ("one.gin", "much.gin", "other.gin"):
        (folder / name).unlink()
    return json.loads(out.getvalue())["speeds"]


def test_configurations_beside_each_other_are_each_measured_and_in_order(in_turns):
    assert [each["gin_file"].rsplit("/", 1)[1] for each in in_turns] == ["one.gin", "much.gin", "other.gin"]
    assert in_turns[0]["times_as_long"] == 1
    # The medians of times and of ratios are of different turns, so that one may be off in a noisy moment.
    for each in in_turns:
        ratio = in_turns[0]["episodes_per_second"] / each["episodes_per_second"]
        assert ratio == pytest.approx(each["times_as_long"], rel=0.5)


def test_more_work_takes_longer(in_turns):
    assert in_turns[1]["times_as_long"] > 1.2


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--beside=paper/omniglot_1shot_pixels.gin",), "omniglot_1shot_pixels.gin has method.name = 'pixels'"),
        (("--beside=quickstart.gin", "--sweep"), "--sweep and --beside do not go together"),
        (("--beside=quickstart.gin", "--strategy=multi_worker"), "--beside measures this machine alone"),
        (("--beside=gone.gin",), "gone.gin"),
        (("--beside=paper/omniglot_1shot_all_layers_8ch.gin", "--gin_bindings=episodes.n_way = 2000"), "2000"),
    ],
)
def test_what_cannot_be_measured_beside_another_is_refused(flags, said, monkeypatch, capsys):
    assert run_here(monkeypatch, "benchmark", "--gin_file=quickstart.gin", *flags) == 2
    assert said in capsys.readouterr().err
