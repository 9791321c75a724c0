"""Claims about bin/gin_index: it brings in results, and takes none away where there are none."""

import sys

import pytest
from small_results import RESULTS, index_row

from hypertransformer_tf.commands import gin_index
from hypertransformer_tf.reproduction import results
from hypertransformer_tf.reproduction.index import index_text, read_index
from hypertransformer_tf.reproduction.readme_tables import BEGIN, END


@pytest.fixture
def gin_folder(tmp_path, monkeypatch):
    folder = tmp_path / "gin"
    folder.mkdir()
    (folder / "index.csv").write_text(index_text([index_row("a"), index_row("b", x="16", ours="55.5", interval="0.1")]))
    (folder / "README.md").write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    monkeypatch.setattr(gin_index, "GIN_FOLDER", folder)
    monkeypatch.setattr(gin_index, "INDEX", folder / "index.csv")
    monkeypatch.setattr(gin_index, "read_index", lambda: read_index(folder / "index.csv"))
    return folder


def call(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["bin/gin_index", *flags])
    return gin_index.main()


def test_numbers_come_from_the_results_of_a_folder(gin_folder, monkeypatch, tmp_path):
    results.write_result(results.result_file(tmp_path / "results", "100_steps", "a"), RESULTS["a"])
    assert call(monkeypatch, f"--results={tmp_path / 'results'}") == 0
    first, second = read_index(gin_folder / "index.csv")
    assert (first.ours, first.budget, second.ours) == ("91.0", "100_steps", "")
    assert "91.0 +- 0.5 (100 steps)" in (gin_folder / "README.md").read_text()


def test_a_folder_without_results_is_refused_and_no_number_is_lost(gin_folder, monkeypatch, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in gin_folder.iterdir()}
    assert call(monkeypatch, f"--results={tmp_path / 'nowhere'}") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"--results={tmp_path / 'nowhere'} holds no results" in said
    assert {path.name: path.read_bytes() for path in gin_folder.iterdir()} == before
