"""A process in which TensorFlow waits for ever at its start, and no other thread can run, ends with a sentence."""

import os
import subprocess
import sys

import pytest
from small_runs import ROOT

from hypertransformer_tf.training.restarts import SUPERVISOR

# PyDLL, unlike CDLL, keeps Python's lock.
_WAITS = """
import ctypes, sys
from hypertransformer_tf.training.start_limit import limited
with limited(float(sys.argv[1])):
    ctypes.PyDLL(None).usleep(int(1e6 * float(sys.argv[2])))
print("went on")
"""


def end_of(limit, wait, **environment):
    """The process that waits so many seconds where it may so many."""
    command = [sys.executable, "-c", _WAITS, str(limit), str(wait)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="has no usleep")
@pytest.mark.parametrize("is_supervised, status", [(False, 1), (True, -9)])
def test_it_ends_with_a_sentence_and_a_status_that_restarts_understand(is_supervised, status):
    done = end_of(0.5, 40, **{SUPERVISOR: str(os.getpid()) if is_supervised else ""})
    assert done.returncode == status and done.stdout == ""
    assert done.stderr.startswith("TensorFlow did not meet all workers within 0.5 s") and done.stderr.count("\n") == 1


def test_it_goes_on_where_nothing_waits_for_long():
    done = end_of(30, 0.1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
