"""The sweep: what it tries, that what fails is a row with its reason, and that the fastest is named."""

import json

import pytest
from small_runs import SMALL, TINY, experiment_of, own_configuration, write_gin

from hypertransformer_tf.benchmarks.sweep import SWEPT, Row, Sweep, heading, line, search, sweep
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction.child_commands import CommandError

TRAINING = experiment_of("training.task_batch = 2", settings=TINY).training


def _speed(settings):
    """A machine on which XLA, bfloat16, task batches of 4 and 2 groups are fast, and float16 is not there."""
    if settings["precision"] == "float16":
        return None
    speed = 10.0 * (2 if settings["compile"] else 1) * (3 if settings["precision"] == "bfloat16" else 1)
    speed *= {"folded": 2, "plain": 1, "grouped": 1.5}[settings["convolution_form"]]
    return speed * (2 if settings["groups"] == 2 else 1) / (1 + abs(settings["task_batch"] - 4))


def _measure(settings):
    speed = _speed(settings)
    return Row(settings, speed, "" if speed else "float16 cannot be had", "machine" if speed else "")


def test_it_finds_the_fastest_and_reports_each_row_as_it_goes():
    reported = []
    rows = search(TRAINING, SWEPT, _measure, reported.append)
    assert reported == rows and len({str(row.settings) for row in rows}) == len(rows)
    found = Sweep(tuple(rows))
    assert found.gin_lines == [
        "training.task_batch = 4",
        "training.groups = 2",
        "training.precision = 'bfloat16'",
        "training.compile = True",
        "training.convolution_form = 'folded'",
    ]
    assert found.best.episodes_per_second == max(row.episodes_per_second or 0 for row in rows)
    assert found.as_dict()["best"]["settings"]["task_batch"] == 4


def test_its_gin_lines_are_a_configuration(tmp_path):
    lines = Sweep(tuple(search(TRAINING, SWEPT, _measure, lambda row: None))).gin_lines
    gin_file = write_gin(tmp_path / "tiny.gin", *(change for change in lines))
    with own_configuration():
        training = load_experiment(gin_file).training
    assert (training.task_batch, training.groups, training.precision) == (4, 2, "bfloat16")


def test_every_form_precision_and_xla_is_tried():
    settings = [row.settings for row in search(TRAINING, SWEPT, _measure, lambda row: None)]
    for name, values in {
        "convolution_form": {"folded", "plain", "grouped"},
        "precision": {"float32", "bfloat16", "float16"},
        "compile": {True, False},
        "task_batch": {1, 2, 4, 8},
        "groups": {1, 2, 4},
    }.items():
        assert {each[name] for each in settings} == values
    assert all(each["task_batch"] % each["groups"] == 0 for each in settings)


def test_what_could_not_be_measured_is_a_row_that_says_why():
    rows = search(TRAINING, SWEPT, _measure, lambda row: None)
    (failed,) = [row for row in rows if row.episodes_per_second is None]
    assert line(failed).endswith("| not measured: float16 cannot be had |")
    assert len({text.count("|") for text in (*heading(failed).split("\n"), *map(line, rows))}) == 1


def test_when_the_first_fail_the_next_begin_with_the_configuration():
    rows = search(TRAINING, SWEPT, lambda settings: Row(settings, None, "no"), lambda row: None)
    assert {row.settings["task_batch"] for row in rows[:6]} == {2}


@pytest.mark.parametrize("method", ["prototypical", "maml"])
def test_a_baseline_is_not_given_what_it_refuses(method, tmp_path, monkeypatch):
    """The bindings that the processes would get are read here as they would read them."""
    baseline = [f"method.name = '{method}'", "training.task_batch = 2"]
    settings = [each for each in SMALL if not each.startswith("training.task_batch")]
    gin_file = write_gin(tmp_path / "baseline.gin", *baseline, settings=settings)

    def measure(command, flags):
        bindings = [flag.split("=", 1)[1] for flag in flags if flag.startswith("--gin_bindings=")]
        try:
            with own_configuration():
                training = load_experiment(gin_file, bindings).training
        except UserError as error:
            raise CommandError(str(error), refused=True) from None
        return json.dumps({"episodes_per_second": float(training.task_batch), "machine": "machine"})

    monkeypatch.setattr("hypertransformer_tf.benchmarks.sweep.run_command", measure)
    found = sweep(gin_file)
    assert [row.why for row in found.rows] == [""] * len(found.rows)
    assert {row.settings["compile"] for row in found.rows} == {True, False}
    assert {row.settings["task_batch"] for row in found.rows} == {1, 2, 4, 8} and found.best.settings["task_batch"] == 8
    assert heading(found.best).startswith("| task batch | groups | XLA | episodes/s |\n")
    assert heading(found.best).split("\n")[0].count("|") == line(found.best).count("|")


def test_where_nothing_can_be_measured_the_first_reason_is_told(tmp_path, monkeypatch):
    def refused(command, flags):
        raise CommandError("no such data", refused=True)

    monkeypatch.setattr("hypertransformer_tf.benchmarks.sweep.run_command", refused)
    with pytest.raises(UserError, match="No settings could be measured; the first said: no such data"):
        sweep(write_gin(tmp_path / "tiny.gin"))


def test_several_machines_are_refused(tmp_path):
    with pytest.raises(UserError, match="measures this machine alone"):
        sweep(write_gin(tmp_path / "tiny.gin"), strategy="multi_worker")


@pytest.mark.slow
def test_a_process_measures_each_choice_or_says_why_it_cannot(tmp_path, monkeypatch):
    """Two choices, each in a real process; the other kinds are left out."""
    kinds = [[{"compile": False, "convolution_form": form} for form in ("folded", "grouped")]]
    monkeypatch.setattr("hypertransformer_tf.benchmarks.sweep._kinds", lambda task_batch: iter(kinds))
    found = sweep(write_gin(tmp_path / "tiny.gin", "training.task_batch = 4"), seconds=0.2)
    measured, failed = found.rows
    assert measured.episodes_per_second > 0 and "cores" in measured.machine
    assert failed.episodes_per_second is None and "has no gradient on a CPU without XLA" in failed.why
    assert found.best == measured
