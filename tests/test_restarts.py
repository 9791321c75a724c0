"""`--restarts`: what dies is started again, what ends is not, and who asks to stop is heard."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from small_runs import (
    ROOT,
    assert_same_state,
    latest,
    newest_step,
    run_command,
    start_command,
    wait_until,
    write_gin,
)

from hypertransformer_tf.training import restarts
from hypertransformer_tf.training.restarts import LOST, SUPERVISOR, run_with_restarts, shown_status

# Notes that it was started, and does by its number what the arguments say.
CHILD = """
import os, pathlib, signal, sys, time
notes = pathlib.Path(sys.argv[1])
count = len(notes.read_text()) if notes.exists() else 0
notes.write_text("x" * (count + 1))
todo = sys.argv[2:][min(count, len(sys.argv) - 3)]
if todo == "wait":
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *a: sys.exit(130))
    (notes.parent / "pid").write_text(str(os.getpid()))
    time.sleep(60)
if todo.startswith("-"):
    os.kill(os.getpid(), -int(todo))
    time.sleep(60)
sys.exit(int(todo))
"""


def _run(tmp_path, number, *todo):
    """Exit status, times started, and what was said."""
    said, notes = [], tmp_path / "notes"
    status = run_with_restarts(number, said.append, [sys.executable, "-c", CHILD, str(notes), *map(str, todo)], pause=0)
    return status, len(notes.read_text()), said


@pytest.mark.parametrize("status", [0, 1, 2, 130, 143])
def test_what_ends_by_itself_is_not_started_again(tmp_path, status):
    assert _run(tmp_path, 3, status) == (status, 1, [])


def test_what_dies_of_a_signal_or_a_lost_worker_is_started_again(tmp_path):
    status, started, said = _run(tmp_path, 5, -signal.SIGKILL, LOST, -signal.SIGSEGV, 0)
    assert (status, started) == (0, 4)
    assert [re.search(r"as (.*); starting it again \((\d) of 5\)", each).groups() for each in said] == [
        ("it died of SIGKILL", "1"),
        ("another worker was lost", "2"),
        ("it died of SIGSEGV", "3"),
    ]


@pytest.mark.parametrize("todo, status", [(-signal.SIGKILL, 137), (LOST, 1)])
def test_no_more_often_than_allowed(tmp_path, todo, status):
    ended, started, said = _run(tmp_path, 2, todo)
    assert (ended, started) == (status, 3) and "after 2 restarts (--restarts=2)" in said[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_was_asked_to_stop_itself_is_left_alone(tmp_path, number):
    assert _run(tmp_path, 3, -number) == (128 + number, 1, [])


def _supervisor(tmp_path):
    program = "import sys; from hypertransformer_tf.training.restarts import *; "
    program += "sys.exit(run_with_restarts(3, print, sys.argv[1:]))"
    child = [sys.executable, "-c", CHILD, str(tmp_path / "notes"), "wait"]
    process = subprocess.Popen([sys.executable, "-c", program, *child], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), process, 60)
    return process, int((tmp_path / "pid").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_and_sigterm_are_passed_on_and_nothing_is_started_again(tmp_path, number):
    process, _ = _supervisor(tmp_path)
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "" and process.returncode == 128 + number
    assert (tmp_path / "notes").read_text() == "x"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
def test_what_it_started_stops_when_it_is_killed_itself(tmp_path):
    process, child = _supervisor(tmp_path)
    process.kill()
    process.communicate()
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{child}") and _state(child) != "Z":
        assert time.monotonic() < end, "it trains on unseen"
        time.sleep(0.05)


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_lost_worker_is_status_one_unless_somebody_starts_again(monkeypatch):
    monkeypatch.setenv(SUPERVISOR, str(os.getpid()))  # nobody is a process of its own
    assert shown_status(LOST) == 1 and shown_status(2) == 2
    monkeypatch.setenv(SUPERVISOR, str(os.getppid()))
    assert restarts.is_supervised() and shown_status(LOST) == LOST


def test_a_number_of_restarts_that_is_none_is_refused(tmp_path):
    done = run_command("train", f"--gin_file={write_gin(tmp_path / 'tiny.gin')}", "--restarts=-1")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--restarts" in done.stderr


def test_a_wrong_value_is_said_once_and_nothing_started_again(tmp_path):
    done = run_command("train", f"--gin_file={tmp_path / 'none.gin'}", "--restarts=3")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "none.gin" in done.stderr


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc to find the process")
def test_a_killed_training_goes_on_by_itself_and_ends_as_if_it_had_not_been(tmp_path):
    changes = ("training.steps = 300", "training.checkpoint_every = 20", "training.validate_every = 0")
    gin_file, whole, run = write_gin(tmp_path / "tiny.gin", *changes), tmp_path / "whole", tmp_path / "run"
    assert run_command("train", f"--gin_file={gin_file}", f"--run_dir={whole}").returncode == 0
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}", "--restarts=1") as process:
        wait_until(lambda: newest_step(run) > 0, process, 600)
        (child,) = _children(process.pid)
        os.kill(child, signal.SIGKILL)
        _, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert err == "Training ended as it died of SIGKILL; starting it again (1 of 1).\n"
    assert_same_state(latest(run), latest(whole))
