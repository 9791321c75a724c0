"""The API pages build from the docstrings, and a link that leads nowhere fails the build."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "hypertransformer_tf"


def build(folder, site):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(autouse=True)
def mkdocs():
    for name in ("mkdocs", "mkdocstrings"):
        pytest.importorskip(name, reason="needs the extra docs")


@pytest.mark.slow
def test_every_module_is_on_the_page_of_its_folder(tmp_path):
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    for module in (ROOT / PACKAGE).rglob("*.py"):
        parts = module.relative_to(ROOT).with_suffix("").parts
        if not parts[-1].startswith("__"):
            page = tmp_path / "api" / (parts[1] if len(parts) > 2 else PACKAGE) / "index.html"
            assert f'id="{".".join(parts)}"' in page.read_text(encoding="utf-8"), module
    assert (tmp_path / "serving" / "index.html").is_file() and (tmp_path / "scaling" / "jobset.yaml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("link", ["gone.md", "../scaling/README.md#gone"])
def test_a_broken_link_fails_the_build(link, tmp_path):
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("results", "measurements"))
    for folder in (ROOT / PACKAGE).glob("*/__init__.py"):  # what the pages are about matters not: a docstring each
        (tmp_path / PACKAGE / folder.parent.name).mkdir(parents=True)
        (tmp_path / PACKAGE / folder.parent.name / "__init__.py").write_text('"""A folder."""\n')
    (tmp_path / PACKAGE / "__init__.py").write_text('"""A package."""\n')
    assert build(tmp_path, tmp_path / "site").returncode == 0
    with (tmp_path / "docs" / "serving" / "README.md").open("a") as file:
        file.write(f"\n[nowhere]({link})\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0 and "gone" in done.stderr
