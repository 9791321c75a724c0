"""The tests on every Python and on both stacks, each in an environment of its own below `.nox`.

    nox                      all fast tests: the current stack on Python 3.10 to 3.13, the other on 3.10 and 3.11
    nox -s current-3.12      one of them; what stands behind `--` goes to bin/test, such as `-- --slow`
    nox -s addons_core-3.11  what .ci/run runs on the stack with TensorFlow Addons: the fast tests of its core

A Python that is not found is skipped, and said. nox comes with the extra `dev`.
"""

import nox

nox.options.sessions = ["current", "addons"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

# Where the two stacks could differ: optimisers, layers, the generated CNN, the model, parity, a step, exports, and TFDS,
# whose own dependencies may come to want what the older stack has not.
CORE = (
    "keras_stack optimizers flat_update recipe losses step augmentation "
    "attention token_dense dropout features statistics tokens trained_weights transformer weight_generator "
    "folded normalisation plain readout run hypertransformer model_values "
    "authors_checkpoint authors_names standalone export_saved_model tfds_source"
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
    session.install("-c", f"constraints/{stack}.txt", "-e", *requirements)
