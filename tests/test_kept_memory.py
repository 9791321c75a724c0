"""Memory that was freed is not asked of the system again."""

import os
import subprocess
import sys

import pytest

from hypertransformer_tf.kept_memory import keep_freed_memory

_SWITCH = "TF_CPU_ALLOCATOR_USE_BFC"
_LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"
_SCRIPT = """
from hypertransformer_tf.kept_memory import keep_freed_memory
keep_freed_memory()
import resource
import tensorflow as tf
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tf.ones(2**24)  # 64 MiB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


def _faults(environment: dict) -> int:
    environment = {**{name: value for name, value in os.environ.items() if name != _SWITCH}, **environment}
    answer = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, check=True, env=environment)
    return int(answer.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts page faults as Linux does")
def test_a_large_tensor_has_its_pages_the_second_time_unless_the_environment_says_otherwise():
    assert _faults({}) < _faults({_SWITCH: "false"}) / 10


@pytest.mark.parametrize(
    "environment, pages, limit",
    [({}, 2**25, "131072"), ({}, 2**21, "8192"), ({_LIMIT: "5"}, 2**25, "5"), ({}, -1, None), ({}, None, None)],
)
def test_the_allocator_may_take_the_machines_memory_unless_the_environment_says_otherwise(
    monkeypatch, environment, pages, limit
):
    def sysconf(name):
        value = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": pages}[name]
        if value is None:
            raise ValueError("unrecognized configuration name")
        return value

    monkeypatch.setattr(os, "environ", dict(environment))
    monkeypatch.setattr(os, "sysconf", sysconf)
    keep_freed_memory()
    assert os.environ.get(_LIMIT) == limit


_NEEDS_MORE = """
import sys
import tensorflow as tf
try:
    tf.ones(2**25)  # 128 MiB
except tf.errors.ResourceExhaustedError:
    sys.exit(7)
"""


@pytest.mark.parametrize("mebibytes, status", [("64", 7), ("512", 0)])
def test_the_limit_is_one_that_tensorflow_minds(mebibytes, status):
    environment = {**os.environ, _SWITCH: "true", _LIMIT: mebibytes, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", _NEEDS_MORE], capture_output=True, check=False, env=environment)
    assert done.returncode == status, done.stderr
