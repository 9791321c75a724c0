"""bin/: a command runs in an environment that has all it needs, or makes .venv once and goes on in it.

The set-up is tried on a copy of bin/ with a stand-in for pip, which takes no time: what the commands do
around it is what these tests are about.
"""

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
CONSTRAINTS = f"constraints/current-{VERSION}.txt"


@pytest.fixture
def checkout(tmp_path):
    """A copy of what bin/ needs, with bin/train run by a Python that lacks the libraries."""
    shutil.copytree(ROOT / "bin", tmp_path / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("constraints", "hypertransformer_tf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    (tmp_path / "hypertransformer_tf" / "training" / "train.py").write_text(
        'def train(**values):\n    print("trains", values["gin_file"])\n'
    )
    return tmp_path


def _start(
    checkout: pathlib.Path, *command: str, pip: str = "exit 0", before: str = "", version: str = VERSION
) -> subprocess.Popen:
    # A fresh virtual environment without packages stands for a machine without the libraries.
    base = checkout / "bare"
    if not base.exists():
        subprocess.run([os.path.realpath(sys.executable), "-m", "venv", "--without-pip", base], check=True)
    driver = checkout / "driver.py"
    driver.write_text(f'''
import os, runpy, subprocess, sys
real = subprocess.call
def call(command, **options):
    if command[1:3] == ["-m", "venv"]:
        os.makedirs(os.path.join(command[3], "bin"), exist_ok=True)
        path = os.path.join(command[3], "bin", "python")
        with open(path, "w") as file:
            file.write("""#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then echo "$@" >> {checkout}/pip-calls; {pip}; fi
exec {sys.executable} "$@"
""")
        os.chmod(path, 0o755)
        with open(os.path.join(command[3], "pyvenv.cfg"), "w") as file:
            file.write("home = /usr/bin\\nversion = {version}.7\\n")
        return 0
    return real(command, **options)
subprocess.call = call
{before}
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
''')
    return subprocess.Popen(
        [base / "bin" / "python", driver, str(checkout / command[0]), *command[1:]],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(checkout: pathlib.Path, *command: str, **circumstances: str) -> tuple[int, str, str]:
    process = _start(checkout, *command, **circumstances)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def _wait_for_pip(checkout: pathlib.Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not _pip_calls(checkout):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _pip_calls(checkout: pathlib.Path) -> list[str]:
    calls = checkout / "pip-calls"
    return calls.read_text().splitlines() if calls.exists() else []


def test_a_command_sets_up_once_says_so_and_goes_on(checkout):
    status, output, errors = _run(checkout, "bin/train", "--gin_file=a.gin")
    assert (status, output) == (0, "trains a.gin\n")
    assert f"setting up {checkout / '.venv'}, once" in errors
    assert [call.split("install ")[1] for call in _pip_calls(checkout)] == [
        "--upgrade pip>=24.1",
        f"-c {CONSTRAINTS} -e .",
    ]
    assert _run(checkout, "bin/train", "--gin_file=b.gin") == (0, "trains b.gin\n", "")


def test_a_command_with_an_extra_has_it_installed_too(checkout):
    (checkout / "hypertransformer_tf" / "demo" / "serve.py").write_text(
        'def serve(model, host, port):\n    print("serves", model)\n'
    )
    assert _run(checkout, "bin/train", "--gin_file=a.gin")[0] == 0
    assert _run(checkout, "bin/demo", "--model=small")[:2] == (0, "serves small\n")
    assert _pip_calls(checkout)[-1].endswith(f"-c {CONSTRAINTS} -e .[demo]")
    assert len(_pip_calls(checkout)) == 4
    assert _run(checkout, "bin/demo", "--model=small") == (0, "serves small\n", "")
    assert _run(checkout, "bin/train", "--gin_file=a.gin") == (0, "trains a.gin\n", "")


@pytest.mark.parametrize("file", ["setup.cfg", CONSTRAINTS])
def test_changed_requirements_bring_the_environment_up_to_date(checkout, file):
    _run(checkout, "bin/train", "--gin_file=a.gin")
    with open(checkout / file, "a") as changed:
        changed.write("\n# changed\n")
    assert _run(checkout, "bin/train", "--gin_file=a.gin")[1] == "trains a.gin\n"
    assert len(_pip_calls(checkout)) == 4


OTHER = "3.13" if VERSION != "3.13" else "3.12"


def test_an_environment_of_another_python_has_that_ones_packages(checkout):
    for extra, command in (("", ["bin/train", "--gin_file=a.gin"]), ("[demo]", ["bin/demo", "--model=small"])):
        _run(checkout, *command, version=OTHER)
        assert _pip_calls(checkout)[-1].endswith(f"-c constraints/current-{OTHER}.txt -e .{extra}")
    with open(checkout / CONSTRAINTS, "a") as changed:
        changed.write("\n# changed\n")
    _run(checkout, "bin/train", "--gin_file=a.gin")
    assert len(_pip_calls(checkout)) == 4


OLD_PYTHON_WITH_EVERYTHING = """
import importlib.util
sys.version_info = (3, 9, 2, "final", 0)
importlib.util.find_spec = lambda name: name
"""


@pytest.mark.parametrize("command", ["bin/train", "bin/test"])
def test_an_unsupported_python_is_refused_before_anything_else_even_if_all_is_installed(checkout, command):
    before = OLD_PYTHON_WITH_EVERYTHING + f"os.environ['PATH'] = {str(checkout / 'nothing')!r}"
    status, output, errors = _run(checkout, command, before=before)
    assert (status, output) == (1, "")
    assert errors.startswith("Python 3.10 to 3.13 is needed and this is 3.9") and errors.count("\n") == 1


def test_an_unsupported_python_goes_on_in_a_supported_one_on_path(checkout):
    (checkout / "on_path").mkdir()
    python = checkout / "on_path" / "python3.11"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo goes on in "$0" with "$2"\n')
    python.chmod(0o755)
    before = OLD_PYTHON_WITH_EVERYTHING + f"os.environ['PATH'] = {str(python.parent)!r}"
    status, output, errors = _run(checkout, "bin/train", "--gin_file=a.gin", before=before)
    assert (status, output, errors) == (0, f"goes on in {python} with --gin_file=a.gin\n", "")


def test_help_and_a_wrong_flag_set_nothing_up(checkout):
    status, output, errors = _run(checkout, "bin/train", "--help")
    assert status == 0 and "examples:" in output and errors == ""
    status, output, errors = _run(checkout, "bin/train", "--gin_fil=a")
    assert status == 2 and output == "" and errors.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_a_set_up_that_was_interrupted_is_started_again(checkout):
    process = _start(checkout, "bin/train", "--gin_file=a.gin", pip="sleep 30")
    _wait_for_pip(checkout, process)
    process.kill()
    process.communicate()
    (checkout / ".venv" / "half").write_text("")
    status, output, errors = _run(checkout, "bin/train", "--gin_file=a.gin")
    assert (status, output) == (0, "trains a.gin\n") and "was interrupted" in errors
    assert not (checkout / ".venv" / "half").exists()


def test_when_pip_fails_its_reason_is_shown_and_the_next_try_begins_again(checkout):
    status, output, errors = _run(checkout, "bin/train", "--gin_file=a.gin", pip="echo no network; exit 1")
    assert (status, output) == (1, "")
    assert "no network" in errors and "start the same command again" in errors and "Traceback" not in errors
    assert _run(checkout, "bin/train", "--gin_file=a.gin")[:2] == (0, "trains a.gin\n")


def test_two_at_once_set_up_one_environment(checkout):
    first = _start(checkout, "bin/train", "--gin_file=a.gin", pip="sleep 1; exit 0")
    _wait_for_pip(checkout, first)
    second = _start(checkout, "bin/train", "--gin_file=b.gin")
    assert first.communicate(timeout=60)[0] == "trains a.gin\n"
    output, errors = second.communicate(timeout=60)
    assert output == "trains b.gin\n" and "waiting for it" in errors
    assert len(_pip_calls(checkout)) == 2


def test_an_environment_of_somebody_elses_is_left_alone(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").write_text("precious")
    status, _, errors = _run(checkout, "bin/train", "--gin_file=a.gin")
    assert status == 1 and "was not made by this command" in errors
    assert (checkout / ".venv" / "mine").read_text() == "precious"


def test_an_environment_that_has_all_is_used_as_it_is(checkout):
    done = subprocess.run(
        [sys.executable, checkout / "bin" / "train", "--gin_file=a.gin"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "trains a.gin\n" and not (checkout / ".venv").exists()


def test_bin_test_runs_fast_or_slow_tests_and_passes_arguments_on(checkout):
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_two.py").write_text(
        "import pytest\ndef test_fast(): pass\n@pytest.mark.slow\ndef test_slow(): assert 0\n"
    )
    command = [sys.executable, checkout / "bin" / "test"]

    def closing(*arguments: str) -> str:
        return subprocess.run(
            command + list(arguments), capture_output=True, text=True, check=False, cwd=checkout
        ).stdout

    assert "1 passed" in closing() and "failed" not in closing()
    assert "1 failed" in closing("--slow")
    assert "1 passed" in closing("-k", "fast") and "1 passed" in closing("tests/test_two.py::test_fast", "-q")


def test_commands_are_executable_and_short():
    for name in ("train", "evaluate", "benchmark", "test"):
        file = ROOT / "bin" / name
        assert file.stat().st_mode & stat.S_IXUSR
        assert len(file.read_text().splitlines()) < 40
