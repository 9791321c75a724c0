"""What the README tells people to type works as it stands.

A fenced block that follows the comment <!-- tested --> is run, Python where it says so and otherwise in a shell, in the
order of the text and in one folder: a copy of the repository's root by links, so that `runs/` and whatever else the
blocks write stays out of the repository.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from small_runs import ROOT

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
BLOCKS = re.findall(r"^<!-- tested -->\n+```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SECONDS = 300


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name != "runs":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """This Python is `python`, and what `bin/` finds first."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("python", "python3"):
        # A script, not a link: a link would leave a virtual environment behind.
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    packages = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PATH": path, "PYTHONPATH": packages}


def test_there_are_tested_blocks_and_every_mark_is_followed_by_one():
    assert BLOCKS
    assert len(BLOCKS) == TEXT.count("<!-- tested -->")
    assert {language for language, _ in BLOCKS} <= {"", "bash", "python"}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_as_it_stands(number, root, environment):
    language, text = BLOCKS[number]
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def test_gin_files_that_the_readme_names_are_there():
    assert TEXT, "there is no README.md"
    assert not [name for name in re.findall(r"gin/[\w/]+\.gin", TEXT) if not (ROOT / name).exists()]
