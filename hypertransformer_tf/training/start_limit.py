"""Ends this process if TensorFlow waits too long for the other processes of a cluster while it starts."""

import contextlib
import faulthandler
import os
import subprocess
import sys
from typing import Iterator

from hypertransformer_tf.training.rendezvous import SECONDS
from hypertransformer_tf.training.restarts import is_supervised

_SENTENCE = (
    f"TensorFlow did not meet all workers within {{seconds:g}} s ({SECONDS}), so training stopped: one was lost before "
    "training began; start all of them again."
)
# Says the sentence if anything is written to it, and ends its parent where that does not end by itself.
_TELLER = """
import contextlib, os, signal, sys
sentence, parent = sys.argv[1:]
if sys.stdin.buffer.read(1):
    os.write(2, sentence.encode() + b"\\n")
    with contextlib.suppress(OSError):
        if os.getppid() == int(parent):
            os.kill(int(parent), signal.SIGKILL)
"""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ends the process with a sentence and status 1 if what is inside takes longer.

    TensorFlow holds Python's lock while it waits for a process that died after it had come, for an hour. No thread of
    Python runs then, `peer_watch.py` neither, so that the timer is that of `faulthandler` (the process's only one), and
    a small process speaks. `faulthandler` can end a process with status 1 alone, which starts nothing again; under
    `--restarts` the small process ends this one by a signal instead.

    Args:
      seconds: how long it may take.
    """
    restarted, sentence = is_supervised(), _SENTENCE.format(seconds=seconds)
    reader, writer = os.pipe()
    with open(reader, "rb", 0) as hears, open(writer, "wb", 0) as speaks:
        command = [sys.executable, "-I", "-S", "-c", _TELLER, sentence, str(os.getpid() if restarted else 0)]
        teller = subprocess.Popen(command, stdin=hears, start_new_session=True)
        try:
            faulthandler.dump_traceback_later(seconds, exit=not restarted, file=speaks)
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            teller.kill()
            teller.wait()
