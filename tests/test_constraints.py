"""The files in constraints/: one for each stack and Python, with what setup.cfg asks for, in the ranges it states."""

import configparser
import pathlib

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
    extras = ["dev", "demo", "docs", "export", "figures", "notebooks", "serving"] + ["addons"] * (stack == "addons")
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


@pytest.mark.parametrize("name", FILES)
def test_it_holds_every_package_once_and_says_what_made_it(name):
    first, *lines = (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    stack, python = name.split("-")
    session = {"current": "lock", "addons": "lock_addons"}[stack]
    assert first == f"# Made of constraints/{stack}.in by nox -s {session}-{python}."
    assert len(lines) == len(pinned(name)) > 100 and lines == sorted(lines)
