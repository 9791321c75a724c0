"""A preset is measured on the data that its card names; those of the package are as good as their cards say."""

import json
import math

import pytest
from small_classifier import N_WAY, make_inductive_model
from small_runs import run_here

from hypertransformer_tf.deployment.model_files import ModelFiles
from hypertransformer_tf.deployment.preset_accuracy import evaluate_preset, read_card
from hypertransformer_tf.deployment.presets import save_preset
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.preset_files import preset_names

EPISODES = 100


def _save(folder, **card):
    save_preset(make_inductive_model(), folder, card)
    return str(folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    sizes = [{"n_way": 3, "k_shot": 2}, {"n_way": 4, "k_shot": 1}]
    return _save(tmp_path_factory.mktemp("presets") / "small", data="glyphs", test_accuracy=sizes)


@pytest.mark.slow
def test_a_preset_is_measured_at_the_first_size_of_its_card(saved, monkeypatch, capsys):
    flags = (f"--model={saved}", "--episodes=8", "--query_batches=2")
    assert run_here(monkeypatch, "evaluate", *flags, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 <= result.pop("accuracy") <= 1 and 0 < result.pop("interval_95") < 1
    assert result == {
        "run_dir": None,
        "step": None,
        "model": "small",
        "split": "test",
        "n_way": 3,
        "k_shot": 2,
        "queries_per_class": 3,
        "unlabelled_per_class": 0,
        "disjoint_queries": True,
        "episodes": 8,
        "query_batches": 2,
        "asked": "together",
    }
    assert run_here(monkeypatch, "evaluate", *flags, "--n_way=2", "--k_shot=1") == 0
    assert capsys.readouterr().out.startswith("preset small: 2-way 1-shot accuracy on test classes")


def test_queries_that_are_not_made_of_fives_are_refused_before_the_model_is_built(saved, monkeypatch):
    monkeypatch.delattr(ModelFiles, "build")
    with pytest.raises(UserError, match="9 queries are not made of fives"):
        evaluate_preset(saved, asked="in_fives", queries_per_class=3)


@pytest.mark.slow
def test_how_it_is_asked_makes_no_difference(saved):
    together, alone = (
        evaluate_preset(saved, episodes=4, query_batches=1, asked=asked) for asked in ("together", "alone")
    )
    assert alone.accuracy == pytest.approx(together.accuracy) and "asked alone" in str(alone)


def test_more_classes_than_the_model_has_labels_for(saved):
    with pytest.raises(UserError, match=f"5-way episodes: the preset small tells 2 to {N_WAY} classes apart"):
        evaluate_preset(saved, n_way=5)


@pytest.mark.parametrize(
    "card, says",
    [
        ({}, "names no data"),
        ({"data": "my pictures"}, "data that cannot be loaded: data.source = 'my pictures' is not known"),
        ({"data": 3}, "data.source = 3 is not known"),
        ({"data": "glyphs", "meta_train_classes": 7}, "was trained on 7 classes of glyphs and its split has"),
    ],
)
def test_a_card_whose_data_are_not_to_be_had(tmp_path, card, says):
    with pytest.raises(UserError, match=says):
        evaluate_preset(_save(tmp_path / "small", **card), episodes=2)


@pytest.mark.parametrize("flags", [[], ["--run_dir=here", "--model=omniglot"]])
def test_a_run_or_a_preset_and_not_both(flags, monkeypatch, capsys):
    assert run_here(monkeypatch, "evaluate", *flags) == 2
    said = capsys.readouterr().err
    assert "give either --run_dir, a run, or --model, a preset" in said and said.count("\n") == 1
    assert ("not both" in said) == bool(flags)


def test_no_preset(monkeypatch, capsys):
    assert run_here(monkeypatch, "evaluate", "--model=nothing") == 2
    assert "neither a preset of the package" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_the_presets_of_the_package_are_as_good_as_their_cards_say(name, shared):
    card, data_dir = read_card(name), shared / "tfds"
    folder = {"omniglot_averaged": "omniglot", "cifar_fs": "cifar100"}.get(card["data"], "")
    if folder and not (data_dir / folder).is_dir():
        pytest.skip(f"needs {folder} in {data_dir}")
    said = card["test_accuracy"][0]
    found = evaluate_preset(name, "test", EPISODES, 1, str(data_dir), said["n_way"], said["k_shot"])
    interval = said["interval_95"] * math.sqrt(said["episodes"] / EPISODES)
    assert abs(found.accuracy - said["accuracy"]) <= 3 * interval, (found, said)
