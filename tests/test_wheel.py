"""The wheel alone does what a checkout does: it brings the gin files, the preset and the commands."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from small_classifier import save_drawings

from hypertransformer_tf import __version__
from hypertransformer_tf.commands import cli, hypertransformer

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture
def call(monkeypatch):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["hypertransformer", *arguments])
        return hypertransformer.main()

    return called


def test_each_command_in_bin_has_its_name(call, capsys):
    assert call() == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert set(shown) == {path.name for path in (ROOT / "bin").iterdir()} - {
        "test",
        "gin_index",
        "_bootstrap.py",
        "_run_tests.py",
        "__pycache__",
    }


def test_it_has_a_version_and_names_its_commands_to_who_mistypes_one(call, capsys):
    assert call("--version") == 0 and capsys.readouterr().out.strip() == __version__
    assert call("trian") == 2
    error = capsys.readouterr().err
    assert "'trian'" in error and "train" in error and error.count("\n") == 1


def test_help_speaks_of_the_command_as_it_was_called(call, capsys):
    with pytest.raises(SystemExit):
        call("train", "--help")
    shown = capsys.readouterr().out
    assert "usage: hypertransformer train" in shown and "bin/" not in shown


def test_a_mistyped_flag_is_one_sentence(call, capsys):
    assert call("evaluate", "--run_dir=here", "--episode=3") == 2
    error = capsys.readouterr().err
    assert error.startswith("hypertransformer evaluate: '--episode=3'") and "did you mean --episodes" in error


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs a command of the wheel, which is installed alone, outside the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "work").mkdir()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, tracked)):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "source" / name, follow_symlinks=False)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, folder / "source"], check=True)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, folder / "site" / "bin" / cli.INSTALLED_AS, *map(str, arguments)],
            cwd=folder / "work",
            env={**os.environ, "PYTHONPATH": str(folder / "site")},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.mark.slow
def test_the_wheel_trains_and_evaluates_by_the_name_of_a_gin_file(installed, tmp_path):
    done = installed(
        "train",
        "--gin_file=quickstart.gin",
        "--steps=2",
        "--gin_bindings=evaluation.episodes = 4",
        f"--run_dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    done = installed("evaluate", f"--run_dir={tmp_path / 'run'}", "--episodes=2")
    assert done.returncode == 0 and "test classes" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_wheel_makes_a_classifier_with_the_preset_and_asks_it(installed, tmp_path):
    pictures = save_drawings(tmp_path / "pictures")
    done = installed("generate", f"--support={pictures}", f"--out={tmp_path / 'classifier'}", "--formats=keras")
    assert done.returncode == 0, done.stderr
    done = installed("predict", f"--classifier={tmp_path / 'classifier'}", pictures)
    assert done.returncode == 0 and done.stdout, done.stderr
