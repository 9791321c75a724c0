"""The tests on every Python and on both stacks, each in an environment of its own below `.nox`.

    nox                      all fast tests: the current stack on Python 3.10 to 3.13, the other on 3.10 and 3.11
    nox -s current-3.12      one of them; what stands behind `--` goes to bin/test, such as `-- --slow`
    nox -s addons_core-3.11  what .ci/run runs on the stack with TensorFlow Addons: the fast tests of its core
    nox -s lock lock_addons  chooses the versions in constraints/ anew, for each Python that is found

A Python that is not found is skipped, and said. nox comes with the extra `dev`.
"""

import json
import pathlib
import re

import nox

nox.options.sessions = ["current", "addons"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

# Where the two stacks could differ: optimisers, layers, the generated CNN, the model, parity, a step and exports.
# And TFDS: what it depends on may come to want what the older stack lacks.
CORE = (
    "keras_stack optimizers flat_update recipe losses step augmentation "
    "attention token_dense dropout features statistics tokens trained_weights transformer weight_generator "
    "folded normalisation plain readout run hypertransformer model_values "
    "authors_checkpoint authors_names standalone export_saved_model tfds_source constraints"
).split()


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def current(session: nox.Session) -> None:
    """The fast tests on the current stack."""
    _install(session, "current", ".[dev]")
    session.run("python", "bin/test", *session.posargs)


@nox.session(python=["3.10", "3.11"])
def addons(session: nox.Session) -> None:
    """The fast tests on TensorFlow 2.15 with TensorFlow Addons."""
    _install(session, "addons", ".[addons,dev]")
    session.run("python", "bin/test", *session.posargs)


@nox.session(python=["3.10", "3.11"])
def addons_core(session: nox.Session) -> None:
    """The fast tests of the core on TensorFlow 2.15 with TensorFlow Addons."""
    _install(session, "addons", ".[addons]", "pytest>=8", "pytest-xdist>=3.5", "pytest-timeout>=2.2")
    files = [f"tests/test_{name}.py" for name in CORE]
    session.run("python", "bin/test", "-n", "2", "--dist", "loadfile", *files, *session.posargs)


def _install(session: nox.Session, stack: str, *requirements: str) -> None:
    session.install("--upgrade", "pip>=24.1")  # older ones can take an hour to choose versions
    session.install("-c", f"constraints/{stack}-{session.python}.txt", "-e", *requirements)


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def lock(session: nox.Session) -> None:
    """The versions that pip chooses for the current stack."""
    _lock(session, "current", ".[dev]")


@nox.session(python=["3.10", "3.11"])
def lock_addons(session: nox.Session) -> None:
    """The versions that pip chooses for the stack with TensorFlow Addons."""
    _lock(session, "addons", ".[addons,dev]")


def _lock(session: nox.Session, stack: str, requirement: str) -> None:
    session.install("--upgrade", "pip>=24.1")
    report, chosen = pathlib.Path(session.create_tmp(), "report.json").resolve(), f"constraints/{stack}.in"
    dry_run = ("pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report))
    session.run(*dry_run, "-c", chosen, "-e", requirement)
    found = [each["metadata"] for each in json.loads(report.read_text())["install"] if not each["is_direct"]]
    lines = sorted(f"{re.sub('[-_.]+', '-', each['name']).lower()}=={each['version']}" for each in found)
    text = f"# Made of {chosen} by nox -s {session.name}.\n" + "".join(f"{line}\n" for line in lines)
    pathlib.Path(f"constraints/{stack}-{session.python}.txt").write_text(text)
