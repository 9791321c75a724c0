"""The files in constraints/: one for each stack and Python, with what setup.cfg asks for, in the ranges it states."""

import configparser
import importlib.metadata
import pathlib
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parents[1]
OPTIONS = configparser.ConfigParser()
OPTIONS.read(ROOT / "setup.cfg", encoding="utf-8")
FILES = sorted(path.stem for path in (ROOT / "constraints").glob("*.txt"))


def pinned(name):
    lines = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def requirements(stack):
    """What setup.cfg and the file of choices say of a stack."""
    lines = OPTIONS["options"]["install_requires"].splitlines()
    extras = [name for name in OPTIONS["options.extras_require"] if name != "addons" or stack == "addons"]
    lines += [line for extra in extras for line in OPTIONS["options.extras_require"][extra].splitlines()]
    lines += (ROOT / "constraints" / f"{stack}.in").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return [each for each in wanted if canonicalize_name(each.name) != "hypertransformer-tf"]


def test_there_is_a_file_for_each_python_of_each_stack():
    assert FILES == sorted([f"current-3.{minor}" for minor in (10, 11, 12, 13)] + ["addons-3.10", "addons-3.11"])


@pytest.mark.parametrize("name", FILES)
def test_it_has_what_is_asked_for_in_the_ranges_stated(name):
    stack, python = name.split("-")
    versions = pinned(name)
    for each in requirements(stack):
        if each.marker is not None and not each.marker.evaluate({"python_version": python}):
            continue
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_it_has_what_is_needed_by_what_is_asked_for():
    """Followed from package to package as they are installed here, on the stack that is installed here."""
    stack = "addons" if importlib.metadata.version("keras").startswith("2.") else "current"
    versions = pinned(f"{stack}-{sys.version_info[0]}.{sys.version_info[1]}")
    open_, seen = {"tensorflow", "tensorflow-datasets", "scikit-learn", "pytest"}, set()
    while open_:
        name = open_.pop()
        seen.add(name)
        needed = (Requirement(each) for each in importlib.metadata.requires(name) or ())
        here = (each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""}))
        open_ |= {canonicalize_name(each.name) for each in here} - seen
    assert len(seen) > 40 and seen <= set(versions)


@pytest.mark.parametrize("name", FILES)
def test_it_holds_every_package_once_and_says_what_made_it(name):
    first, *lines = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    stack, python = name.split("-")
    session = {"current": "lock", "addons": "lock_addons"}[stack]
    assert first == f"# Made of constraints/{stack}.in by nox -s {session}-{python}."
    assert len(lines) == len(pinned(name)) > 100 and lines == sorted(lines)


def test_tensorboard_starts_with_them():
    done = subprocess.run(
        [sys.executable, "-m", "tensorboard.main", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == importlib.metadata.version("tensorboard"), done.stderr
