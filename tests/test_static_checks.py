"""The code passes ruff and mypy, with the settings in ruff.toml and setup.cfg."""

import importlib.metadata
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
NUMPY = tuple(map(int, importlib.metadata.version("numpy").split(".")[:2]))


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing():
    pytest.importorskip("ruff", reason="needs the extra dev")
    run("ruff", "check", "--no-cache", ".")


@pytest.mark.slow
@pytest.mark.skipif(NUMPY < (2, 4), reason="types are checked against those of NumPy 2.4")
def test_mypy_finds_nothing(tmp_path):
    pytest.importorskip("mypy", reason="needs the extra dev")
    run("mypy", "--cache-dir", str(tmp_path))
