"""Claims about running rows: what is missing is run, what fails stops nothing, what is made is made again."""

import json
import pathlib
import subprocess
import sys

import pytest
from noted_commands import FIRST, SECOND, run
from small_runs import ROOT, own_configuration

from hypertransformer_tf.commands import reproduce as command
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.reproduction import child_commands
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.listing import listing
from hypertransformer_tf.reproduction.reproduce import reproduce
from hypertransformer_tf.reproduction.results import read_results


def test_rows_are_trained_measured_and_shown(commands, tmp_path):
    pytest.importorskip("matplotlib")
    done, said = run(seeds=2)
    assert done and "4 models to train, about" in said
    assert commands.trained() == [[FIRST, "seed_0"], [FIRST, "seed_1"], [SECOND, "seed_0"], [SECOND, "seed_1"]]
    result = read_results(tmp_path / "results", "40_steps")[FIRST]
    assert result.accuracy == pytest.approx(55) and result.train_accuracy == pytest.approx(90)  # of Table 4
    assert [seed.episodes for seed in result.seeds] == [320, 320] and result.seeds[0].seconds == 60
    assert str(tmp_path) not in json.dumps([seed.command + seed.machine for seed in result.seeds])
    made = {path.name for path in (tmp_path / "results" / "40_steps").iterdir()}
    assert {"table_4.md", "table_4.csv", "figure_3.png", "figure_3.svg"} <= made
    assert {"trainings.md", "trainings.csv"} <= made
    assert "55.0 +-" in (tmp_path / "results/40_steps/table_4.md").read_text()


def test_only_what_is_missing_is_run(commands):
    run(rows=[FIRST])
    run(seeds=2)
    assert commands.trained() == [[FIRST, "seed_0"], [FIRST, "seed_1"], [SECOND, "seed_0"], [SECOND, "seed_1"]]
    done, said = run(seeds=2)
    assert done and len(commands.trained()) == 4 and "all done" in said and f"{FIRST}: 55.0% +- " in said


@pytest.mark.parametrize("refused, state", [(True, "skipped"), (False, "failed")])
def test_a_row_that_fails_does_not_stop_the_others_and_is_tried_again(commands, tmp_path, capsys, refused, state):
    commands.fails[FIRST] = child_commands.CommandError("the data is away.", refused)
    done, _ = run()
    assert not done and [SECOND, "seed_0"] in commands.trained()
    assert f"{FIRST} {state}: the data is away." in capsys.readouterr().err
    assert f"* {FIRST}: {state}. the data is away." in (tmp_path / "results/40_steps/table_4.md").read_text()
    assert f"{FIRST}:" not in run(outputs_only=True)[1]
    commands.fails.clear()
    assert run()[0] and read_results(tmp_path / "results", "40_steps")[FIRST].state == "done"


def test_a_reason_that_many_rows_share_is_said_once(commands, capsys):
    for row in (FIRST, SECOND):
        commands.fails[row] = child_commands.CommandError("the data is away.", True)
    assert not run()[0]
    said = capsys.readouterr().err
    assert f"{FIRST} skipped: the data is away." in said and f"{SECOND} skipped: as {FIRST}" in said
    assert said.count("away") == 1


def test_rows_that_today_would_be_trained_otherwise_are_kept_and_named(commands, tmp_path):
    run()
    assert "another configuration" not in run()[1]
    path = tmp_path / "results" / "40_steps" / "rows" / f"{FIRST}.json"
    of_today = json.loads(path.read_text())["seeds"][0]["recipe"]
    path.write_text(path.read_text().replace(of_today, "of_yesterday"))
    done, said = run()
    assert done and len(commands.trained()) == 2
    assert "1 row was trained by another configuration than today's and is kept" in said and f"\n  {FIRST}" in said
    assert f"remove its file in {path.parent.relative_to(tmp_path)}" in said and f"\n  {SECOND}" not in said
    assert f"\n  {FIRST}" in run(seeds=2, plan_only=True)[1]  # to which no seed can be added


def test_where_no_row_has_its_data_time_is_estimated_without(commands, monkeypatch):
    def benchmark_of_glyphs(name, flags, log=None):
        if name == "benchmark" and "quickstart" not in flags[0]:
            raise child_commands.CommandError("the data is away.", True)
        return commands(name, flags, log)

    monkeypatch.setattr(child_commands, "run_command", benchmark_of_glyphs)
    for _ in range(2):  # what was measured of glyphs is not kept
        _, said = run(plan_only=True)
        assert "estimated from what quickstart.gin takes" in said and said.count("the data is away.") == 1
        assert "2 models to train, about" in said
    assert "not known" in run(plan_only=True, budget=Budget())[1]  # the authors' recipe has a speed of its own


def test_a_plan_says_so_where_nothing_can_be_measured(commands, monkeypatch):
    def nothing_measured(name, flags, log=None):
        raise child_commands.CommandError("ended with status -9", False)

    monkeypatch.setattr(child_commands, "run_command", nothing_measured)
    done, said = run(plan_only=True)
    assert done and "No speed could be measured of these rows:\nended with status -9" in said
    assert "how long it takes is not known." in said


def test_a_plan_says_of_how_many_rows_the_time_is_not_known(commands):
    _, said = run(rows=[FIRST, "omniglot_oracle_4ch"], budget=Budget(minutes=10), plan_only=True)
    assert "2 models to train, about 12 min here. Of 1 of these rows it is not known" in said


def test_tables_and_figures_made_again_are_the_same_bytes(commands, tmp_path):
    run()
    folder = tmp_path / "results" / "40_steps"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in before:
        (folder / name).unlink()
    asked = len(commands.asked)
    run(outputs_only=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert len(commands.asked) == asked


def test_without_matplotlib_tables_are_made_and_the_sentence_says_what_is_missing(commands, monkeypatch, tmp_path):
    monkeypatch.setattr("hypertransformer_tf.reproduction.reproduce.can_draw", lambda: False)
    done, said = run(rows=[FIRST])
    assert done and "pip install matplotlib" in said
    made = {path.suffix for path in (tmp_path / "results" / "40_steps").iterdir() if path.is_file()}
    assert made == {".md", ".csv"}


def test_a_plan_trains_nothing(commands, tmp_path):
    _, said = run(plan_only=True)
    assert "2 rows, 0 done; 2 models to train, about" in said
    assert not commands.trained() and not (tmp_path / "results").exists()


def test_the_list_says_what_is_done(commands):
    run(rows=[FIRST])
    text = listing()
    assert "--table=table_4, --figure=figure_3: " in text and "1 done at 40_steps" in text and FIRST not in text
    text = listing(figures=["figure_3"])
    assert f"{FIRST}  (done at 40_steps)\n" in text and f"{SECOND}\n" in text and "--table=methods" not in text
    assert listing(tables=["methods"]).count("omniglot_1shot_pixels") == 1  # it stands in three columns
    assert "(paper, Table 4 and Figure 3); 1 of its 25 rows\n" in listing(rows=[FIRST])
    with pytest.raises(UserError, match="There is no table 'table_5'"):
        listing(tables=["table_5"])


def test_a_row_that_is_not_there_is_answered_with_the_nearest(commands):
    with pytest.raises(UserError, match=f"did you mean .*{FIRST}"):
        run(rows=[FIRST[:-1]])
    with pytest.raises(UserError, match="it is a figure: --figure=figure_3"):
        listing(tables=["figure_3"])


@pytest.mark.parametrize("flags, status", [(["--help"], 0), (["--budget=soon"], 2), (["--row=x", "--plan"], 2)])
def test_help_and_wrong_flags_need_no_tensorflow(flags, status):
    code = (
        "import sys\nfrom hypertransformer_tf.commands import reproduce\n"
        "try:\n    status = reproduce.main()\nexcept SystemExit as error:\n    status = error.code or 0\n"
        "sys.exit(99 if 'tensorflow' in sys.modules else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr


def test_the_exit_status_says_whether_all_is_done(commands, monkeypatch, capsys):
    commands.fails[FIRST] = child_commands.CommandError("away.", True)
    monkeypatch.setattr(sys, "argv", ["bin/reproduce", f"--row={FIRST}", "--budget=40"])
    with own_configuration():
        assert command.main() == 1
        commands.fails.clear()
        assert command.main() == 0
    assert "tables and figures in results/40_steps" in capsys.readouterr().out


def test_nothing_is_trained_unless_it_is_named(commands, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bin/reproduce"])
    assert command.main() == 2
    assert "Nothing was named to train: give --row, --table or --figure;" in capsys.readouterr().err
    assert not pathlib.Path("results").exists()


def test_a_command_that_refuses_a_value_says_so_and_one_that_breaks_too(tmp_path):
    with pytest.raises(child_commands.CommandError, match="no_such.gin") as raised:
        child_commands.run_command("train", ["--gin_file=no_such.gin"], tmp_path / "log.txt")
    assert raised.value.refused and "no_such.gin" in (tmp_path / "log.txt").read_text()
    with pytest.raises(child_commands.CommandError, match="no_such_command") as raised:
        child_commands.run_command("no_such_command", [])
    assert not raised.value.refused


def test_a_model_that_was_begun_and_then_refused_is_a_failure_and_not_skipped(commands, tmp_path, capsys):
    """Training ends so where the loss is not finite."""
    run_dir = tmp_path / "runs/reproduce/40_steps" / FIRST / "seed_0"
    run_dir.mkdir(parents=True)
    (run_dir / "run.json").write_text('{"starts": []}')
    commands.fails[FIRST] = child_commands.CommandError("the loss was nan.", True)
    assert not run()[0]
    assert f"{FIRST} failed: the loss was nan." in capsys.readouterr().err


def test_a_plan_that_cannot_keep_the_speed_it_measures_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="--runs=.*file/x cannot be written"):
        reproduce(rows=[FIRST], budget=Budget(steps=2), runs=str(tmp_path / "file" / "x"), plan_only=True)


@pytest.mark.parametrize("flag", ["results", "runs"])
def test_a_folder_that_cannot_be_made_is_said_before_anything_is_run(tmp_path, flag):
    (tmp_path / "file").write_text("in the way")
    places = {"results": str(tmp_path / "results"), "runs": str(tmp_path / "runs"), flag: str(tmp_path / "file" / "x")}
    with pytest.raises(UserError, match=f"--{flag}=.*file/x cannot be written"):
        reproduce(rows=[FIRST], budget=Budget(steps=2), **places)


def test_whoever_reads_the_list_may_stop():
    command = [sys.executable, "-m", "hypertransformer_tf.commands.reproduce", "--list"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1 and said == ""
