"""Makes the pages of the API documentation, one per folder of the package, for mkdocs (see `mkdocs.yml`)."""

import ast
import pathlib
from typing import Any, Dict, List

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PACKAGE = "hypertransformer_tf"
ROOT = pathlib.Path(__file__).resolve().parents[1] / PACKAGE
# In the order in which data flows.
FOLDERS = (
    "data",
    "episodes",
    "cnn",
    "layers",
    "model",
    "compat",
    "runs",
    "evaluation",
    "training",
    "baselines",
    "deployment",
    "serving",
    "inspection",
    "plotting",
    "demo",
    "reproduction",
    "benchmarks",
    "commands",
)
GUIDES = {
    "How good the classifiers are": "classifiers.md",
    "Serving": "serving/README.md",
    "Several devices and machines": "scaling/README.md",
    "Moving from the authors' program": "authors_program.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages in the order of the data flow."""
    api: List[Dict[str, str]] = [{name: f"api/{name}.md"} for name in (PACKAGE, *FOLDERS)]
    guides = [{title: path} for title, path in GUIDES.items()]
    config.nav = [{"Overview": "index.md"}, {"Guides": guides}, {"API": api}]
    return config


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the generated pages.

    Raises:
      PluginError: a folder of the package has no place in FOLDERS, or the other way round.
    """
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    if found != set(FOLDERS):
        raise PluginError(f"docs/api_pages.py and {PACKAGE}/ differ in {sorted(found ^ set(FOLDERS))}: mend FOLDERS.")
    pages = {f"api/{folder}.md": _page(f"{PACKAGE}.{folder}", ROOT / folder) for folder in FOLDERS}
    pages[f"api/{PACKAGE}.md"] = _page(PACKAGE, ROOT)
    pages["index.md"] = _overview()
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def _page(package: str, folder: pathlib.Path) -> str:
    """The package's own docstring, then each of its modules."""
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))
    parts = [f"# {package}", f"::: {package}\n    options:\n      show_root_heading: false\n      members: false"]
    parts += [f"::: {package}.{module}" for module in modules]
    return "\n\n".join(parts) + "\n"


def _overview() -> str:
    rows = "\n".join(f"| [{name}](api/{name}.md) | {_summary(ROOT / name)} |" for name in FOLDERS)
    return f"# {PACKAGE}\n\n{_summary(ROOT)}\n\n| folder | what is in it |\n| --- | --- |\n{rows}\n"


def _summary(folder: pathlib.Path) -> str:
    """The first line of the package's docstring."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0]
