"""Data flows downwards: no module of the library imports one of a layer above its own."""

import ast
import pathlib
from typing import Iterator

import pytest

PACKAGE = "hypertransformer_tf"
ROOT = pathlib.Path(__file__).resolve().parents[1] / PACKAGE
# From the bottom to the top. A layer is a module or a folder; `settings` are the files config.py of all folders, which
# hold checked values only, and `root` is the package itself, which imports nothing until it is asked.
ORDER = (
    "root",
    "errors",
    "parent_death",
    "kept_memory",
    "out_of_memory",
    "quiet_import",
    "lamb",
    "keras_stack",
    "philox",
    "config_checks",
    "settings",
    "gin_files",
    "config",
    "config_record",
    "data",
    "episodes",
    "cnn",
    "layers",
    "model",
    "inspection",
    "compat",
    "baselines",
    "experiment_checks",
    "experiment",
    "runs",
    "evaluation",
    "training",
    "deployment",
    "serving",
    "plotting",
    "reproduction",
    "benchmarks",
    "demo",
    "commands",
    "__main__",
)
# KerasHub's convention puts `from_preset` and `save_to_preset` on the model; what they do is not the model's business.
ALLOWED = {("model/hypertransformer.py", "deployment.presets")}
MODULES = sorted(ROOT.rglob("*.py"))


def layer_of(parts: tuple[str, ...]) -> str:
    """The layer of a module, given the parts of its path below the package."""
    if len(parts) == 2 and parts[1] == "config":
        return "settings"
    return parts[0] if parts else "root"


def imported(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Modules of the package that a module imports anywhere in it, as parts below the package."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module.split(".")[0] == PACKAGE:  # what is imported may be a module itself
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *parts = name.split(".")
            while parts and not (
                (ROOT / "/".join(parts)).is_dir() or (ROOT / "/".join(parts)).with_suffix(".py").exists()
            ):
                parts.pop()
            if first == PACKAGE:
                yield tuple(parts)


def parts_of(module: pathlib.Path) -> tuple[str, ...]:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def upward_imports(module: pathlib.Path) -> list[str]:
    own = layer_of(parts_of(module))
    tree = ast.parse(module.read_text(encoding="utf-8"))
    higher = ORDER[ORDER.index(own) + 1 :]
    upward = {".".join(parts) for parts in set(imported(tree)) if layer_of(parts) in higher}
    return sorted(name for name in upward if (module.relative_to(ROOT).as_posix(), name) not in ALLOWED)


def test_every_module_has_its_place_in_the_order():
    assert {layer_of(parts_of(module)) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_nothing_imports_upwards(module):
    assert upward_imports(module) == []


def test_modules_name_each_other_in_full():
    """Relative imports would hide from the test above."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), module


def test_an_upward_import_is_found_wherever_it_stands(tmp_path, monkeypatch):
    for path, text in {
        "errors.py": "",
        "model/config.py": "",
        "model/checks.py": "",
        "data/low.py": f"from {PACKAGE} import errors\nfrom {PACKAGE}.model.config import X\n",
        "data/high.py": f"def late():\n    from {PACKAGE}.model import checks\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert upward_imports(tmp_path / "data" / "low.py") == []
    assert upward_imports(tmp_path / "data" / "high.py") == ["model.checks"]
