"""The results in the repository: tables, figures and index are what their JSON files make, byte for byte."""

import re

import numpy as np
import pytest
from small_runs import ROOT

from hypertransformer_tf.plotting.canvas import can_draw
from hypertransformer_tf.reproduction.budget import parse_budget
from hypertransformer_tf.reproduction.index import read_index
from hypertransformer_tf.reproduction.outputs import outputs_of
from hypertransformer_tf.reproduction.present_recipe import outdated_rows
from hypertransformer_tf.reproduction.readme_tables import with_our_numbers
from hypertransformer_tf.reproduction.results import DONE, best_known, budgets_in, read_results

RESULTS = ROOT / "docs" / "results"
BUDGETS = budgets_in(RESULTS)


def committed(budget):
    """The tables and figures of a budget: file name -> content."""
    return {path.name: path.read_bytes() for path in (RESULTS / budget).iterdir() if path.is_file()}


def names(files, ending):
    return sorted(name.removesuffix(ending) for name in files if name.endswith(ending))


@pytest.mark.parametrize("budget", BUDGETS)
def test_tables_are_made_from_the_results(budget):
    files = committed(budget)
    tables = [name for name in names(files, ".md") if name != "trainings"]
    for name, content in outputs_of(read_index(), RESULTS, budget, tables, []).items():
        assert files[name] == content, f"bin/reproduce --results=docs/results --outputs_only makes {name} again"


@pytest.mark.parametrize("budget", BUDGETS)
def test_figures_are_made_from_the_results(budget):
    if not can_draw():
        pytest.skip("matplotlib is not installed")
    import matplotlib

    files = committed(budget)
    drawn_by = set(re.findall(rb"Matplotlib v([\d.]+)", b"".join(files[n] for n in files if n.endswith(".svg"))))
    if drawn_by - {matplotlib.__version__.encode()}:
        pytest.skip(f"drawn by another matplotlib than {matplotlib.__version__}: {drawn_by}")
    if np.__version__.startswith("1."):
        pytest.skip("matplotlib names marks by a hash of how NumPy 2 prints their numbers")
    for name, content in outputs_of(read_index(), RESULTS, budget, [], names(files, ".svg")).items():
        assert files[name] == content, name


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_result_is_of_a_row_and_in_its_tables(budget):
    rows, files = read_index(), committed(budget)
    for name, result in read_results(RESULTS, budget).items():
        assert name in {row.name for row in rows}
        assert result.budget == budget and (result.state != DONE or result.seeds)
        shown = [row.table for row in rows if row.name == name and f"{row.table}.md" in files]
        assert shown, f"{name} is in no table of {budget}"


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_row_that_would_be_trained_otherwise_today_says_so(budget):
    known = read_results(RESULTS, budget)
    for name in outdated_rows(read_index(), known, parse_budget(budget.replace("_", " "))):
        assert known[name].note, f"{name}: its recipe has changed"


def test_the_numbers_of_the_index_are_those_of_the_results():
    index = read_index()
    assert with_our_numbers(index, best_known(RESULTS)) == index, "bin/gin_index --results=docs/results brings them in"
