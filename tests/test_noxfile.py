"""noxfile.py names what there is: a file that was renamed would otherwise be missed only where nox runs."""

import ast
import configparser
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))


def _sessions():
    """Python versions by session."""
    found = {}
    for node in NOXFILE.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            (versions,) = [each.value for each in node.decorator_list[0].keywords if each.arg == "python"]
            found[node.name] = ast.literal_eval(versions)
    return found


def test_the_core_is_made_of_files_that_exist():
    (core,) = [
        node.value.func.value.value
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CORE"
    ]
    missing = [name for name in core.split() if not (ROOT / "tests" / f"test_{name}.py").exists()]
    assert core.split() and not missing


def test_the_current_stack_is_tried_on_every_python_that_the_package_is_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    prefix = "Programming Language :: Python :: 3."
    lines = setup["metadata"]["classifiers"].splitlines()
    declared = [line.split(" :: ")[-1] for line in lines if line.startswith(prefix)]
    older = ["3.10", "3.11"]
    current, addons = (
        dict.fromkeys(("current", "lock"), declared),
        dict.fromkeys(("addons", "addons_core", "lock_addons"), older),
    )
    assert _sessions() == {**current, **addons}


def test_ci_runs_a_session_that_there_is():
    assert "addons_core-$1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_moves_checkpoints_between_the_environment_that_nox_makes_and_its_own():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "run between_stacks" in ci and "HT_OTHER_STACK_PYTHON=$other bin/test tests/test_stacks.py" in ci
