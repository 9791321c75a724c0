"""Claims about running rows: what is missing is run, what fails stops nothing, what is made is made again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from small_runs import ROOT, own_configuration, starts_of, wait_until, write_gin

from hypertransformer_tf.commands import reproduce as command
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction import child_commands, composed_file
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.reproduce import listing, reproduce
from hypertransformer_tf.reproduction.results import read_results

FIRST, SECOND = "omniglot_5shot_logits_only_4ch", "omniglot_1shot_logits_only_4ch"
BESIDE_SECOND = "omniglot_1shot_prototypical_4ch"


class Commands:
    """Stands in for the commands: notes what is asked, and leaves behind what training would."""

    def __init__(self):
        self.asked = []
        self.fails = {}

    def __call__(self, name, flags, log=None):
        values = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
        self.asked.append((name, values))
        if name == "benchmark":
            return self._speeds([flag.split("=", 1)[1] for flag in flags if flag.startswith("--beside=")])
        if name == "evaluate":
            return json.dumps({"accuracy": 0.9})
        row = values["run_dir"].split(os.sep)[-2]
        if row in self.fails:
            raise self.fails[row]
        self._leave_a_run(values)
        return ""

    def _speeds(self, beside):
        if not beside:
            return json.dumps({"episodes_per_second": 40.0})
        if "beside" in self.fails:
            raise self.fails["beside"]
        speeds = [{"episodes_per_second": 40.0 / (place + 1)} for place in range(len(beside) + 1)]
        return json.dumps({"speeds": speeds})

    def _leave_a_run(self, values):
        folder = values["run_dir"]
        os.makedirs(folder, exist_ok=True)
        text = open(values["gin_file"], encoding="utf-8").read()
        step = int(text.split("training.steps = ")[1].split()[0]) if "training.steps" in text else 0
        start = {
            "started": "2024-01-02T03:00:00+00:00",
            "ended": "2024-01-02T03:01:00+00:00",
            "machine": {"processor": "a processor", "cores": 2},
            "versions": {},
            "git_revision": None,
        }
        contents = {
            "config.json": {"training": {"task_batch": 8}},
            "run.json": {"starts": [start]},
            "metrics.jsonl": {"step": step, "test/accuracy": 0.5 + int(values["seed"]) / 10, "test/interval_95": 0.01},
        }
        for name, content in contents.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")

    def trained(self):
        return [values["run_dir"].split(os.sep)[-2:] for name, values in self.asked if name == "train"]


@pytest.fixture
def commands(monkeypatch, tmp_path):
    stand_in = Commands()
    monkeypatch.setattr(child_commands, "run_command", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in


def run(rows=(FIRST, SECOND), budget=Budget(steps=40), **settings):
    said = []
    with own_configuration():
        done = reproduce(rows=rows, budget=budget, say=said.append, **settings)
    return done, "\n".join(said)


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
    assert done and len(commands.trained()) == 4 and "all done" in said


@pytest.mark.parametrize("refused, state", [(True, "skipped"), (False, "failed")])
def test_a_row_that_fails_does_not_stop_the_others_and_is_tried_again(commands, tmp_path, capsys, refused, state):
    commands.fails[FIRST] = child_commands.CommandError("the data is away.", refused)
    done, _ = run()
    assert not done and [SECOND, "seed_0"] in commands.trained()
    assert f"{FIRST} {state}: the data is away." in capsys.readouterr().err
    assert f"* {FIRST}: {state}. the data is away." in (tmp_path / "results/40_steps/table_4.md").read_text()
    commands.fails.clear()
    assert run()[0] and read_results(tmp_path / "results", "40_steps")[FIRST].state == "done"


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
    assert "2 rows, 0 of them done; 2 models to train, about" in said
    assert not commands.trained() and not (tmp_path / "results").exists()


def test_the_list_says_what_is_done(commands):
    run(rows=[FIRST])
    text = listing()
    assert "--table=table_4" in text and "1 done at 40_steps" in text and f"{FIRST}  (done at 40_steps)" in text


def test_a_row_that_is_not_there_is_answered_with_the_nearest(commands):
    with pytest.raises(UserError, match=f"did you mean .*{FIRST}"):
        run(rows=[FIRST[:-1]])


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
    assert "made results/40_steps/table_4.md" in capsys.readouterr().out


def test_a_command_that_refuses_a_value_says_so_and_one_that_breaks_too(tmp_path):
    with pytest.raises(child_commands.CommandError, match="no_such.gin") as raised:
        child_commands.run_command("train", ["--gin_file=no_such.gin"], tmp_path / "log.txt")
    assert raised.value.refused and "no_such.gin" in (tmp_path / "log.txt").read_text()
    with pytest.raises(child_commands.CommandError, match="no_such_command") as raised:
        child_commands.run_command("no_such_command", [])
    assert not raised.value.refused


def start(folder, shared):
    arguments = ["--row=" + FIRST, "--budget=60", "--results=results", "--runs=runs"]
    code = "import sys; from hypertransformer_tf.commands import reproduce; sys.exit(reproduce.main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": str(shared / "tfds")}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=folder, env=environment)


@pytest.mark.slow
def test_a_row_that_was_killed_and_started_again_comes_to_the_same(shared, tmp_path):
    results = []
    for kill in (False, True):
        folder = tmp_path / str(kill)
        folder.mkdir()
        if kill:
            process = start(folder, shared)
            checkpoints = folder / "runs" / "60_steps" / FIRST / "seed_0" / "checkpoints"
            while not list(checkpoints.glob("*.safetensors")) and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (folder / "results" / "60_steps" / "rows").exists()
            time.sleep(2)  # for the kernel to end what it had started
        assert start(folder, shared).wait() == 0
        results.append(read_results(folder / "results", "60_steps")[FIRST].seeds[0])
    assert results[0].accuracy == results[1].accuracy and results[0].interval_95 == results[1].interval_95


TINY_ROWS = ("first", "second")
# bin/reproduce, its index replaced by rows that take seconds.
ON_TINY_ROWS = """
import sys
from hypertransformer_tf.commands import reproduce as command
from hypertransformer_tf.reproduction import reproduce
from hypertransformer_tf.reproduction.index import IndexRow
folder, names, *flags = sys.argv[1:]
rows = [IndexRow(f"{folder}/{name}.gin", "tiny", "tiny", "glyphs", name, "1") for name in names.split(",")]
reproduce.read_index = lambda: rows
sys.argv[1:] = flags
sys.exit(command.main())
"""


def start_tiny(folder, gin_folder, names=TINY_ROWS):
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / "speeds.json").write_text('{"authors": {"other": [1.0, 1.0]}}')  # so that none is measured
    arguments = [str(gin_folder), ",".join(names), "--table=tiny", "--results=results", "--runs=runs"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", ON_TINY_ROWS, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def write_tiny_rows(folder):
    folder.mkdir()
    for seed, name in enumerate(TINY_ROWS):
        changes = (f"data.split_seed = {seed}", "training.steps = 60", "training.validate_every = 30")
        write_gin(folder / f"{name}.gin", *changes)
    write_gin(folder / "without_data.gin", "data.source = 'mini_imagenet:nowhere'", "data.channels = 3")
    return folder


@pytest.mark.slow
def test_two_rows_killed_in_the_second_and_started_again_come_to_the_same(tmp_path):
    gin_folder, tables, seeds = write_tiny_rows(tmp_path / "gin"), [], []
    for kill in (False, True):
        folder = tmp_path / str(kill)
        if kill:
            process = start_tiny(folder, gin_folder)
            runs = folder / "runs" / "full"
            wait_until(lambda: list((runs / "second" / "seed_0" / "checkpoints").glob("*.safetensors")), process, 600)
            process.kill()
            process.communicate()
            rows = folder / "results" / "full" / "rows"
            assert [path.name for path in rows.iterdir()] == ["first.json"]
            time.sleep(2)  # for the kernel to end what it had started
        process = start_tiny(folder, gin_folder)
        said = process.communicate()
        assert process.returncode == 0, said
        results = read_results(folder / "results", "full")
        seeds.append([(results[name].seeds[0].accuracy, results[name].seeds[0].steps) for name in TINY_ROWS])
        tables.append((folder / "results" / "full" / "tiny.md").read_bytes())
    assert seeds[0] == seeds[1] and tables[0] == tables[1]
    starts = [len(starts_of(tmp_path / "True" / "runs" / "full" / name / "seed_0")) for name in TINY_ROWS]
    assert starts == [1, 2]


@pytest.mark.slow
def test_a_row_without_its_data_is_skipped_and_named_and_the_others_are_run(tmp_path):
    gin_folder = write_tiny_rows(tmp_path / "gin")
    process = start_tiny(tmp_path / "here", gin_folder, ("without_data", "first"))
    _, said = process.communicate()
    assert process.returncode == 1 and "Traceback" not in said
    assert "without_data skipped: " in said and "mini-imagenet-cache-{train,val,test}.pkl" in said
    results = read_results(tmp_path / "here" / "results", "full")
    assert (results["without_data"].state, results["first"].state) == ("skipped", "done")
    table = (tmp_path / "here" / "results" / "full" / "tiny.md").read_text()
    assert "* without_data: skipped. data.source = mini_imagenet:nowhere" in table


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
