"""The notebooks run from start to end against this working tree, and are kept without outputs."""

import json
import os
import re
import sys

import pytest
from small_runs import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 600  # for a cell


def _source(cell):
    return "".join(cell["source"])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param, json.loads(request.param.read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook in an empty folder with the library of this tree; its cells with what they put out."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for package in ("ipykernel", "matplotlib"):
        pytest.importorskip(package)

    def execute(name, **environment):
        settings = {
            "HT_NOTEBOOK_STEPS": "2",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "JUPYTER_PLATFORM_DIRS": "1",
            **environment,
        }
        for variable, value in settings.items():
            monkeypatch.setenv(variable, value)
        content = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        nbformat.validate(content)
        client = nbclient.NotebookClient(content, timeout=SECONDS, resources={"metadata": {"path": str(tmp_path)}})
        try:
            client.execute()
        finally:
            execute.outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
        return execute.outputs

    return execute


def _text(outputs):
    return "".join(output.get("text", "") for output in outputs if output["output_type"] == "stream")


def _figures(outputs):
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["quickstart", "reproduce_omniglot"]


def test_no_outputs_are_kept(notebook):
    for cell in notebook[1]["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_cells_are_numbered_so_that_saving_again_changes_nothing(notebook):
    path, content = notebook
    name = path.stem.replace("_", "-")
    cells = content["cells"]
    assert [cell["id"] for cell in cells] == [f"{name}-{number:02d}" for number in range(1, len(cells) + 1)]
    assert json.dumps(content, indent=1, ensure_ascii=False) + "\n" == path.read_text(encoding="utf-8")


def test_gin_files_that_a_notebook_names_are_there(notebook):
    named = {name for cell in notebook[1]["cells"] for name in re.findall(r"[\w/]+\.gin\b", _source(cell))}
    assert named
    assert not [name for name in named if not (ROOT / "gin" / name.removeprefix("gin/")).exists()]


def _first_code(content):
    return next(_source(cell) for cell in content["cells"] if cell["cell_type"] == "code")


def test_the_first_cell_does_nothing_where_the_library_is(notebook, monkeypatch):
    monkeypatch.setattr("subprocess.run", lambda *arguments, **options: pytest.fail("something was started"))
    before = list(sys.path)
    exec(_first_code(notebook[1]), {})
    assert sys.path == before


def test_the_first_cell_clones_and_installs_where_it_is_not(notebook, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.run", lambda command, check: started.append(command))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit, match="set REPOSITORY above"):
        exec(_first_code(notebook[1]), {})
    assert started == []
    exec(_first_code(notebook[1]).replace('REPOSITORY = ""', 'REPOSITORY = "https://example.org/it.git"'), {})
    clone, install = started
    assert clone[:2] == ["git", "clone"] and clone[3:] == ["https://example.org/it.git", "hypertransformer"]
    assert install == [sys.executable, "-m", "pip", "install", "-q", "-e", "hypertransformer[notebooks,export]"]
    assert sys.path[0] == "hypertransformer"


@pytest.mark.slow
def test_quickstart_runs_from_start_to_end(run, tmp_path):
    outputs = run("quickstart")
    assert _figures(outputs) == 5  # an episode, the curve, predictions, kernels, attention
    assert "of this episode's queries; chance is 20%" in _text(outputs)
    assert "3 classes from 12 pictures, by omniglot" in _text(outputs)
    work = tmp_path / "notebook_quickstart"
    assert (work / "classifier" / "classifier.tflite").is_file() and (work / "classifier.zip").is_file()


@pytest.mark.slow
def test_quickstart_takes_pictures_that_are_there(run, tmp_path):
    from small_classifier import save_drawings

    save_drawings(tmp_path / "notebook_quickstart" / "pictures")
    text = _text(run("quickstart"))
    assert "3 classes from 9 pictures, by omniglot" in text and "zwei Bäume/0.png: " in text


@pytest.mark.slow
def test_reproduce_omniglot_runs_from_start_to_end(run, shared, tmp_path):
    outputs = run("reproduce_omniglot", TFDS_DATA_DIR=str(shared / "tfds"))
    assert _figures(outputs) == 5
    assert "'test': '423 characters'" in _text(outputs) and "of 85 drawings" in _text(outputs)
    work = tmp_path / "notebook_omniglot"
    assert (work / "classifier" / "card.json").is_file() and (work / "classifier.zip").is_file()


@pytest.mark.slow
def test_without_omniglot_one_sentence_says_what_to_do(run, tmp_path):
    from nbclient.exceptions import CellExecutionError

    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    with pytest.raises(CellExecutionError):
        run("reproduce_omniglot", TFDS_DATA_DIR=str(tmp_path), HT_CACHE_DIR=str(tmp_path / "cache"), **nowhere)
    (error,) = [output for output in run.outputs if output["output_type"] == "error"]
    assert error["ename"] == "SystemExit"
    assert "omniglot:3.0.0 is not in" in error["evalue"] and "$TFDS_DATA_DIR" in error["evalue"]
    assert "\n" not in error["evalue"]
