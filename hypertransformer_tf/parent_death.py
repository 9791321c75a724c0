"""Child processes that do not outlive the process that started them. Needs no TensorFlow."""

import ctypes
import os
import signal
import sys
from typing import Callable, Optional

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals) -> Optional[Callable[[], None]]:
    """The `preexec_fn` of a child that is to get a signal when this process is killed; None where there is no such way.

    Args:
      number: SIGTERM lets the child save first; SIGKILL does not.
    """
    if not sys.platform.startswith("linux"):
        return None
    parent = os.getpid()
    library = ctypes.CDLL(None)  # loaded here: a process between fork and exec can do little

    def ask() -> None:
        library.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # killed in between
            os._exit(128 + number)

    return ask
