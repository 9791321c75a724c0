"""A directory on an object store is refused, wherever one is given, and not taken for a local one of that name."""

import pathlib

import pytest
from small_runs import experiment_of, own_configuration, run_here, write_gin

from hypertransformer_tf.deployment.generate import generate
from hypertransformer_tf.deployment.trained_models import find_model
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.plotting.plot import plot
from hypertransformer_tf.plotting.subject import find_trained
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.listing import listing
from hypertransformer_tf.reproduction.reproduce import reproduce
from hypertransformer_tf.runs.local_path import local_path
from hypertransformer_tf.serving.export import export
from hypertransformer_tf.training.pre_training import pre_trained

REMOTE = "gs://bucket/run"
SAYS = "^gs://bucket/run(/1)? is not a local directory: .* copy it .* or mount"
ROW = "omniglot_1shot_all_layers_8ch"


def _pre_trained(parameter):
    return pre_trained(experiment_of(f"training.{parameter} = {REMOTE!r}").training, {}, {})


@pytest.mark.parametrize("path", ["s3://a", "GS://a/b", "file:///tmp/run", "abfs+x.y-z://a"])
def test_what_begins_with_a_scheme_is_refused(path):
    with pytest.raises(UserError, match="is not a local directory"):
        local_path(path)


@pytest.mark.parametrize("path", ["runs/a", "/a//b", "a:b", "gs:/a", "./gs://a", "://a", "1://a", pathlib.Path("b")])
def test_every_other_is_a_path(path):
    assert local_path(path) == pathlib.Path(path)


@pytest.mark.parametrize(
    "use",
    [
        lambda: evaluate(REMOTE),
        lambda: find_model(REMOTE),
        lambda: find_trained(REMOTE),
        lambda: _pre_trained("model_from"),
        lambda: _pre_trained("shared_features_from"),
        lambda: generate("support", REMOTE),
        lambda: export("omniglot", f"{REMOTE}/1"),
        lambda: plot(REMOTE, model="omniglot", support=["support"]),
        lambda: reproduce(rows=[ROW], budget=Budget(steps=2), results=REMOTE),
        lambda: reproduce(rows=[ROW], budget=Budget(steps=2), runs=REMOTE),
        lambda: listing(REMOTE),
    ],
)
def test_nothing_reads_from_or_writes_to_an_object_store(tmp_path, monkeypatch, use):
    monkeypatch.chdir(tmp_path)
    with own_configuration(), pytest.raises(UserError, match=SAYS):
        use()
    assert not list(tmp_path.iterdir())


def test_training_says_so_in_a_sentence_and_makes_no_folder(tmp_path, monkeypatch, capsys):
    gin_file = write_gin(tmp_path / "tiny.gin")
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={REMOTE}") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{REMOTE} is not a local directory") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gin"]
