"""Checkpoints, presets and SavedModels move between the two stacks, TensorFlow 2.15 and the current one, either way.

HT_OTHER_STACK_PYTHON names a Python of the other stack, with the extra it needs and pytest: BUILD_NOTES.md.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from small_runs import ROOT, latest
from stack_exchange import RUNS

HERE = pathlib.Path(__file__).resolve().parent
VARIABLE = "HT_OTHER_STACK_PYTHON"
WAYS = ("from here to the other", "from the other to here")


@pytest.fixture(scope="module")
def other_python():
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"needs {VARIABLE}, a Python with the other stack")
    return python


def _run(python, action, folder, cache):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "HT_CACHE_DIR": str(cache),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [python, HERE / "stack_exchange.py", action, folder]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=1_500)
    assert done.returncode == 0, done.stderr[-3000:]


def _exchange(writer, reader, folder, cache):
    _run(writer, "write", folder, cache)
    _run(reader, "go_on", folder, cache)
    return folder


@pytest.fixture(scope="module")
def exchanges(other_python, tmp_path_factory, cache_of_this_run):
    """The folders in which one stack wrote and the other went on, both ways at the same time."""
    pythons = sys.executable, other_python
    with concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
        yield {
            way: pool.submit(_exchange, *order, tmp_path_factory.mktemp("exchange"), cache_of_this_run)
            for way, order in zip(WAYS, (pythons, pythons[::-1]))
        }


@pytest.fixture(scope="module", params=WAYS)
def exchanged(request, exchanges):
    return exchanges[request.param].result()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_the_other_stack_goes_on_with_ends_as_it_would_have(exchanged, name):
    ours, whole = (latest(exchanged / part / name) for part in ("halves", "whole"))
    assert ours.step == whole.step == 6 and ours.arrays.keys() == whole.arrays.keys()
    assert all(ours.arrays[array].dtype == expected.dtype for array, expected in whole.arrays.items())
    apart = {}
    for array, wanted in whole.arrays.items():
        found = ours.arrays[array]
        apart[array] = int((~np.isclose(found, wanted, rtol=1e-3, atol=1e-4)).sum())
        assert np.abs(found - wanted).max(initial=0.0) < 0.01, array
    # Adam's direction where a gradient is nearly zero is that of its rounding: few entries, no more than its steps.
    # These lie together: a share of each array would refuse two of a bias's fourteen.
    assert sum(apart.values()) <= 0.005 * sum(array.size for array in whole.arrays.values()), apart


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["preset", "served", "classifier"])
def test_what_one_stack_wrote_answers_the_same_on_the_other(exchanged, kind):
    expected, answers = (np.load(exchanged / f"{name}.npz")[kind] for name in ("expected", "answers"))
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-5)
