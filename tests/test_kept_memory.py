"""Memory that was freed is not asked of the system again."""

import os
import subprocess
import sys

import pytest

_SWITCH = "TF_CPU_ALLOCATOR_USE_BFC"
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
