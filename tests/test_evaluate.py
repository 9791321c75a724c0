"""Measuring a run: what comes out, and what is refused."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from small_runs import TINY, experiment_of, own_configuration, run_here, tree, write_gin

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.runs.checkpoints import load_best
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.training.train import train


def _strict(text):
    """JSON as every reader takes it: without NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def _evaluate(run_dir, **arguments):
    with own_configuration():
        return evaluate(str(run_dir), **arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    changes = ("episodes.n_way = 3", "episodes.k_shot = 2", "episodes.unlabelled_per_class = 1")
    gin_file = write_gin(folder / "tiny.gin", *changes, "evaluation.query_batches = 2")
    with own_configuration():
        return train(gin_file, run_dir=str(folder / "run")).run_dir


def test_the_command_prints_one_json_object_about_the_best_checkpoint(run, monkeypatch, capsys):
    before = tree(run)
    flags = (f"--run_dir={run}", "--episodes=8", "--query_batches=2", "--json")
    assert run_here(monkeypatch, "evaluate", *flags) == 0
    result = _strict(capsys.readouterr().out)
    assert tree(run) == before  # a run is only read
    measured = {name: result.pop(name) for name in ("accuracy", "interval_95")}
    assert result == {
        "run_dir": str(run),
        "step": load_best(run / "checkpoints").step,
        "split": "test",
        "n_way": 3,
        "k_shot": 2,
        "queries_per_class": 2,
        "unlabelled_per_class": 1,
        "disjoint_queries": True,
        "episodes": 8,
        "query_batches": 2,
        "asked": "together",
        "model": None,
    }
    # The same episodes as at the end of training, and the same model.
    trained = read_metrics(run / "metrics.jsonl")[-1]
    assert measured["accuracy"] == pytest.approx(trained["test/accuracy"], abs=1e-6)
    assert measured["interval_95"] == pytest.approx(trained["test/interval_95"], abs=1e-6)
    assert 0 <= measured["accuracy"] <= 1 and 0 < measured["interval_95"] < 1


def test_without_json_it_is_a_line_for_people(run, monkeypatch, capsys):
    assert run_here(monkeypatch, "evaluate", f"--run_dir={run}", "--split=validation", "--episodes=4") == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and f"{run}, step " in line
    assert "3-way 2-shot accuracy on validation classes" in line and "(4 episodes x 16 query batches)" in line


def test_it_measures_the_same_each_time_and_splits_differ(run):
    first = _evaluate(run, episodes=6, query_batches=3)
    assert _evaluate(run, episodes=6, query_batches=3) == first
    assert _evaluate(run, split="train", episodes=6, query_batches=3).split == "train"


@pytest.mark.slow
def test_the_number_of_queries_is_the_flags_then_the_evaluations_then_that_of_training(tmp_path):
    gin_file = write_gin(tmp_path / "tiny.gin", "evaluation.queries_per_class = 5", "training.steps = 1")
    with own_configuration():
        train(gin_file, run_dir=str(tmp_path / "run"))
    measured = _evaluate(tmp_path / "run", episodes=8, query_batches=1)
    assert measured.queries_per_class == 5
    line = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert measured.accuracy == pytest.approx(line["test/accuracy"], abs=1e-6)
    assert _evaluate(tmp_path / "run", episodes=8, query_batches=1, queries_per_class=4).queries_per_class == 4


@pytest.mark.slow
def test_support_pictures_among_the_queries_can_be_left_out(tmp_path):
    gin_file = write_gin(tmp_path / "tiny.gin", "episodes.disjoint_queries = False", "training.steps = 1")
    with own_configuration():
        train(gin_file, run_dir=str(tmp_path / "run"))
    as_trained = _evaluate(tmp_path / "run", episodes=64, query_batches=1)
    disjoint = _evaluate(tmp_path / "run", episodes=64, query_batches=1, disjoint_queries=True)
    assert not as_trained.disjoint_queries and "some queries being support pictures" in str(as_trained)
    assert disjoint.disjoint_queries and "support pictures" not in str(disjoint)
    assert as_trained.accuracy != disjoint.accuracy


def test_one_episode_has_no_interval_and_is_refused(run, monkeypatch, capsys):
    assert run_here(monkeypatch, "evaluate", f"--run_dir={run}", "--episodes=1", "--json") == 2
    said = capsys.readouterr().err
    assert "--episodes" in said and said.count("\n") == 1
    with pytest.raises(UserError, match="episodes = 1: it must be a whole number, at least 2"):
        _evaluate(run, episodes=1)


def test_a_best_checkpoint_that_is_damaged_gives_way_to_the_newest(run, tmp_path, caplog):
    shutil.copytree(run, tmp_path / "run")
    os.truncate(tmp_path / "run" / "checkpoints" / "best.safetensors", 100)
    assert _evaluate(tmp_path / "run", episodes=4, query_batches=1).step == 6
    assert any("best.safetensors is damaged" in message for message in caplog.messages)


def test_a_run_of_shared_features_alone_has_nothing_to_measure(tmp_path):
    experiment = experiment_of("loss.shared_head = 1.0", "loss.only_shared_head = True", settings=TINY)
    RunDirectory(tmp_path / "run", experiment.effective(), experiment.text(), seed=0).close()
    with pytest.raises(UserError, match="trained its shared features only"):
        _evaluate(tmp_path / "run")


def test_data_that_changed_are_refused(tmp_path):
    stream = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("a", "b", "c"):
            folder = tmp_path / "pictures" / split / f"{split} {name}"
            folder.mkdir(parents=True)
            for sample in range(4):
                Image.fromarray(stream.integers(0, 256, (28, 28), np.uint8)).save(folder / f"{sample}.png")
    gin_file = write_gin(tmp_path / "tiny.gin", f"data.source = 'folder:{tmp_path / 'pictures'}'", "training.steps = 1")
    train(gin_file, run_dir=str(tmp_path / "run"))
    shutil.copytree(folder, folder.with_name("test d"))
    for again in (lambda: _evaluate(tmp_path / "run"), lambda: train(gin_file, run_dir=str(tmp_path / "run"))):
        with pytest.raises(UserError, match="data changed since .* began: class '.*d' added to test"):
            again()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} is not a run directory"):
        _evaluate(tmp_path)


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    experiment = experiment_of(settings=TINY)
    with own_configuration():
        RunDirectory(tmp_path / "run", experiment.effective(), experiment.text(), seed=0).close()
    with pytest.raises(UserError, match="has no checkpoint yet: train it first"):
        _evaluate(tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
