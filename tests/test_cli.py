"""The commands: help that is quick and says something, and errors as one sentence with the right exit status."""

import dataclasses
import importlib
import pathlib
import subprocess
import sys
import time
import types

import pytest

from hypertransformer_tf.commands import benchmark, cli, evaluate, train
from hypertransformer_tf.errors import SaveError, StoppedWorkerError, UserError
from hypertransformer_tf.evaluation.asked import ASKED

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class _Result:
    accuracy: float = 0.875

    def __str__(self) -> str:
        return "accuracy 87.5%"


@pytest.fixture
def called(monkeypatch):
    """Puts a recorder in the place of the functions that do the work; gives the arguments of the last call."""
    arguments = {}

    def work(**values):
        arguments.update(values)
        return _Result()

    for package, name in (("training", "train"), ("evaluation", "evaluate"), ("training", "benchmark")):
        module = types.ModuleType(f"hypertransformer_tf.{package}.{name}")
        setattr(module, name, work)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(importlib.import_module(f"hypertransformer_tf.{package}"), name, module, raising=False)
    return arguments


def _main(command, monkeypatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *flags])
    return command.main()


@pytest.mark.parametrize(
    "command, mentions",
    [
        ("train", ("--gin_file", "--gin_bindings", "--run_dir", "--strategy", "gin/quickstart.gin", "Ctrl-C")),
        ("evaluate", ("--run_dir", "--split", "1024", "interval_95")),
        ("benchmark", ("--gin_file", "--seconds", "episodes_per_second")),
        ("test", ("--slow", "pytest")),
    ],
)
def test_help_is_there_within_two_seconds(command, mentions):
    started = time.monotonic()
    done = subprocess.run([ROOT / "bin" / command, "--help"], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2
    assert all(word in done.stdout for word in mentions) and done.stderr == ""


@pytest.mark.parametrize(
    "flags, says",
    [
        ([], "the following arguments are required: --gin_file"),
        (["--gin_fil=x"], "'--gin_fil=x' is not one of its flags; did you mean --gin_file"),
        (["--gin_file=x", "--step=3"], "'--step=3' is not one of its flags; did you mean --steps"),
        (["--gin_file=x", "--steps=0"], "'0' is not a whole number of at least 1"),
        (["--gin_file=x", "--seed=many"], "'many' is not a whole number"),
        (["--gin_file=x", "--strategy=both"], "'both'"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_status_two(flags, says):
    done = subprocess.run([ROOT / "bin" / "train", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "flags, says",
    [
        (["--modle=x"], "'--modle=x' is not one of its flags; did you mean --model"),
        (["--out=x/1"], "one of the arguments --run_dir --model is required"),
        (["--model=x"], "the following arguments are required: --out"),
    ],
)
def test_a_misspelt_flag_is_named_before_one_that_is_missing(flags, says):
    done = subprocess.run([ROOT / "bin" / "export", *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_the_help_shows_what_is_required():
    done = subprocess.run([ROOT / "bin" / "export", "--help"], capture_output=True, text=True, check=True)
    assert "(--run_dir DIR | --model NAME) --out DIR/VERSION" in " ".join(done.stdout.split())


def test_train_passes_its_flags_on(called, monkeypatch):
    status = _main(
        train,
        monkeypatch,
        "--gin_file=a.gin",
        "--gin_bindings=x.y = 1",
        "--gin_bindings",
        "x.z = 2",
        "--steps=250_000",
        "--run_dir=here",
        "--seed=0",
    )
    assert status == 0
    assert called == {
        "gin_file": "a.gin",
        "gin_bindings": ["x.y = 1", "x.z = 2"],
        "run_dir": "here",
        "data_dir": None,
        "steps": 250_000,
        "seed": 0,
        "strategy": "auto",
    }


def test_benchmark_takes_a_strategy(called, monkeypatch):
    assert _main(benchmark, monkeypatch, "--gin_file=a.gin", "--strategy=one_device") == 0
    assert called["strategy"] == "one_device" and called["seconds"] == 20


def test_evaluate_measures_by_the_authors_protocol_unless_told_otherwise(called, monkeypatch, capsys):
    assert _main(evaluate, monkeypatch, "--run_dir=here") == 0
    expected = {"run_dir": "here", "split": "test", "episodes": 1024, "query_batches": 16, "data_dir": None}
    others = dict.fromkeys(("n_way", "k_shot", "disjoint_queries", "queries_per_class"))
    assert called == {**expected, **others, "asked": "together"}
    assert capsys.readouterr().out == "accuracy 87.5%\n"


def test_evaluate_takes_every_way_of_asking_and_no_other(called, monkeypatch, capsys):
    for asked in ASKED:
        assert _main(evaluate, monkeypatch, "--run_dir=here", f"--asked={asked}") == 0 and called["asked"] == asked
    assert _main(evaluate, monkeypatch, "--run_dir=here", "--asked=backwards") == 2
    told = capsys.readouterr().err
    assert all(asked in told for asked in ASKED)


@pytest.mark.parametrize("command, flag", [(evaluate, "--run_dir=here"), (benchmark, "--gin_file=a.gin")])
def test_json_is_all_there_is_on_standard_output(called, monkeypatch, capsys, command, flag):
    assert _main(command, monkeypatch, flag, "--json") == 0
    assert capsys.readouterr().out == '{"accuracy": 0.875}\n'


@pytest.mark.parametrize(
    "error, status",
    [
        (UserError("The value 3 is too small."), 2),
        (SaveError("The disk is full."), 1),
        (StoppedWorkerError("Worker 1 stopped."), 1),
        (KeyboardInterrupt("Stopped at step 7."), 130),
    ],
)
def test_errors_become_one_line_and_an_exit_status(capsys, error, status):
    def command():
        raise error

    assert cli.run(command) == status
    assert capsys.readouterr().err == f"{error}\n"


def test_memory_that_ran_out_is_one_sentence(capsys):
    def command():
        import numpy as np

        np.empty((1 << 20, 1 << 30), np.uint8)

    assert cli.run(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("The memory of this machine ran out (Unable to allocate 1.00 PiB") and said.count("\n") == 1


def test_an_error_that_came_through_gin_stays_one_sentence(capsys):
    import gin

    @gin.configurable("test_cli_broken")
    def broken():
        raise UserError("The value 3 is too small.")

    assert cli.run(broken) == 2
    assert capsys.readouterr().err == "The value 3 is too small.\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)
