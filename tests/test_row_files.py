"""Claims about the files that rows are trained from: minutes become steps once, seeds of a row have one recipe."""

import json
import os
import shutil

from noted_commands import BESIDE_SECOND, FIRST, SECOND, run
from small_runs import own_configuration

from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction import child_commands, composed_file
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.results import read_results


def test_minutes_become_steps_once_and_stay_so(commands, monkeypatch):
    run(rows=[FIRST], budget=Budget(minutes=2))
    monkeypatch.setattr(child_commands, "measured_speeds", None)  # another seed asks for no speed again
    run(rows=[FIRST], budget=Budget(minutes=2), seeds=2)
    files = {values["gin_file"] for name, values in commands.asked if name == "train"}
    assert len(files) == 1 and "training.steps = 600\n" in open(files.pop(), encoding="utf-8").read()


def steps_of(commands):
    """Steps of each row that was trained."""
    files = [values["gin_file"] for name, values in commands.asked if name == "train"]
    texts = {file.split(os.sep)[-2]: open(file, encoding="utf-8").read() for file in files}
    return {row: int(text.split("training.steps = ")[1].split()[0]) for row, text in texts.items()}


def test_speeds_of_rows_that_are_compared_are_measured_in_turns(commands):
    _, said = run(rows=[FIRST, SECOND, BESIDE_SECOND], budget=Budget(minutes=2))
    measured = [values for name, values in commands.asked if name == "benchmark"]
    assert [SECOND in each["gin_file"] and BESIDE_SECOND in each.get("beside", "") for each in measured] == [
        True,
        False,
    ]
    assert steps_of(commands) == {FIRST: 600, SECOND: 600, BESIDE_SECOND: 300}
    assert f"{BESIDE_SECOND}: 20.0 episodes/s here, so 2 minutes are 300 steps" in said


def test_rows_that_cannot_be_measured_together_are_measured_alone(commands):
    commands.fails["beside"] = child_commands.CommandError("the data is away.", True)
    done, said = run(rows=[SECOND, BESIDE_SECOND], budget=Budget(minutes=2))
    assert done and steps_of(commands) == {SECOND: 600, BESIDE_SECOND: 600}
    assert f"{SECOND}, {BESIDE_SECOND}: not measured in turns, but each by itself: the data is away." in said


def test_other_seeds_take_the_steps_of_those_that_are_there_also_where_their_runs_are_gone(commands, tmp_path):
    run(rows=[SECOND, BESIDE_SECOND], budget=Budget(minutes=2))
    shutil.rmtree(tmp_path / "runs")
    commands.asked.clear()
    run(rows=[SECOND, BESIDE_SECOND], budget=Budget(minutes=2), seeds=2)
    assert "benchmark" not in [name for name, _ in commands.asked]
    assert [seed for _, seed in commands.trained()] == ["seed_1", "seed_1"]
    assert steps_of(commands) == {SECOND: 600, BESIDE_SECOND: 300}


def test_a_model_of_another_recipe_is_not_put_beside_those_on_file(commands, monkeypatch, tmp_path, capsys):
    file = tmp_path / "results" / "40_steps" / "rows" / f"{SECOND}.json"
    run(rows=[SECOND])
    kept = file.read_bytes()
    assert json.loads(kept)["seeds"][0]["recipe"]
    shutil.rmtree(tmp_path / "runs")

    def other(*arguments):
        return composed_file.composed_text(*arguments) + "optimizer.learning_rate = 0.5\n"

    monkeypatch.setattr("hypertransformer_tf.reproduction.row_files.composed_text", other)
    done, _ = run(rows=[SECOND], seeds=2)
    said = capsys.readouterr().err
    assert not done and f"{SECOND}.json holds a model of another configuration (seed 0): remove it, and " in said
    assert commands.trained() == [[SECOND, "seed_0"]]
    assert file.read_bytes() == kept


def test_seeds_that_are_added_later_elsewhere_have_the_recipe_of_the_first(commands, tmp_path):
    minutes = Budget(minutes=2)
    run(budget=minutes)
    shutil.rmtree(tmp_path / "runs")
    done, _ = run(budget=minutes, seeds=2, data_dir=str(tmp_path))
    rows = read_results(tmp_path / "results", "2_minutes")
    recipes = [[seed.recipe for seed in row.seeds] for row in rows.values()]
    assert done and [len(each) for each in recipes] == [2, 2] and [len(set(each)) for each in recipes] == [1, 1]
    assert recipes[0] != recipes[1]


def test_a_result_from_before_recipes_were_noted_gets_more_seeds(commands, tmp_path):
    run(rows=[SECOND])
    file = tmp_path / "results" / "40_steps" / "rows" / f"{SECOND}.json"
    content = json.loads(file.read_text())
    del content["seeds"][0]["recipe"]
    file.write_text(json.dumps({**content, "note": "of long ago."}))
    done, _ = run(rows=[SECOND], seeds=2)
    result = read_results(tmp_path / "results", "40_steps")[SECOND]
    assert done and result.note == "of long ago."
    assert result.seeds[0].recipe is None and result.seeds[1].recipe


def test_the_oracle_is_trained_by_its_own_recipe_whatever_the_budget(commands, monkeypatch, tmp_path):
    monkeypatch.setattr(child_commands, "measured_speeds", None)  # minutes of meta-training are not asked for
    row = "omniglot_oracle_4ch"
    for budget in (Budget(minutes=2), Budget(steps=40)):
        assert run(rows=[row], budget=budget)[0]
    files = [values["gin_file"] for name, values in commands.asked if name == "train"]
    assert len(files) == 2
    measured = [values for name, values in commands.asked if name == "evaluate"]
    assert {(values["split"], values["episodes"]) for values in measured} == {("train", "64")}
    for file in files:
        with own_configuration():
            experiment = load_experiment(file)
        assert (experiment.training.steps, experiment.oracle.steps > 0) == (0, True)
