"""Memory that was freed is not asked of the system again."""

import subprocess
import sys

import pytest

_SCRIPT = """
import resource
import numpy as np
from hypertransformer_tf.kept_memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**24)  # 128 MiB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_a_large_array_has_its_pages_the_second_time():
    without, kept = (
        int(subprocess.run([sys.executable, "-c", _SCRIPT.format(kept=each)], capture_output=True, check=True).stdout)
        for each in (False, True)
    )
    assert kept < without / 10
