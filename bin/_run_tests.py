"""What bin/test does: runs pytest with sensible arguments in an environment that has it."""

import argparse
import os
import sys

import _bootstrap


def run_tests():
    """Runs pytest with the arguments of sys.argv and what they leave open."""
    parser = argparse.ArgumentParser(
        prog="bin/test",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the tests with pytest: the fast ones, or with --slow the slow ones.",
        epilog="All other arguments go to pytest:\n\n"
        "  bin/test                                  all fast tests, on two processes\n"
        "  bin/test tests/test_config.py -k unknown  some tests of one file\n"
        "  bin/test --slow -x                        the slow tests, up to the first failure",
    )
    parser.add_argument("--slow", action="store_true", help="run the slow tests instead of the fast ones")
    options, rest = parser.parse_known_args()
    _bootstrap.ensure_test_environment()
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_bootstrap.ROOT, environment.get("PYTHONPATH")]))
    os.execve(sys.executable, [sys.executable, "-m", "pytest"] + _pytest_arguments(options.slow, rest), environment)


def _pytest_arguments(slow, rest):
    arguments = [] if "-m" in rest else ["-m", "slow" if slow else "not slow"]
    paths = [argument for argument in rest if os.path.exists(argument.split("::")[0])]
    if _bootstrap.importable("xdist") and not paths and not any(argument.startswith("-n") for argument in rest):
        arguments += ["-n", "2", "--dist", "loadfile"]
    if _bootstrap.importable("pytest_timeout") and not any(argument.startswith("--timeout") for argument in rest):
        arguments += ["--timeout", "1800" if slow else "600"]
    return arguments + rest + ([] if paths else [os.path.join(_bootstrap.ROOT, "tests")])
