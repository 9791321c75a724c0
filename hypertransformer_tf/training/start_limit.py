"""Ends this process if TensorFlow waits too long for the other processes of a cluster while it starts."""

import contextlib
import faulthandler
import os
import subprocess
import sys
from typing import Iterator

from hypertransformer_tf.training.restarts import is_supervised

_SECONDS = 45.0  # all processes have just said that they are there
_SENTENCE = (
    f"Another worker was lost before training began: TensorFlow waited {_SECONDS:.0f} s for it, so training stopped: "
    "start all workers again."
)
# Says the sentence if anything is written to it, and ends its parent where that does not end by itself.
_TELLER = """
import os, signal, sys
parent = os.getppid()
if sys.stdin.buffer.read(1):
    os.write(2, sys.argv[1].encode() + b"\\n")
    if sys.argv[2]:
        os.kill(parent, signal.SIGKILL)
"""


@contextlib.contextmanager
def limited(seconds: float = _SECONDS) -> Iterator[None]:
    """Ends the process with a sentence and status 1 if what is inside takes longer.

    TensorFlow holds Python's lock while it waits for a process that died after it had come, for an hour. No thread of
    Python runs then, `peer_watch.py` neither, so that the timer is that of `faulthandler`, and a small process speaks.
    Under `--restarts` that process kills this one: of statuses, only a signal has training started again.

    Args:
      seconds: how long it may take.
    """
    reader, writer = os.pipe()
    restarted = is_supervised()
    command = [sys.executable, "-S", "-c", _TELLER, _SENTENCE, "kill" if restarted else ""]
    with subprocess.Popen(command, stdin=reader, start_new_session=True), open(writer, "wb", 0) as pipe:
        os.close(reader)
        faulthandler.dump_traceback_later(seconds, exit=not restarted, file=pipe)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
