"""Memory that is freed stays with the process, for programs that need the same again at once.

A step needs some 100 MB for moments. glibc gives pieces above 32 MB back when they are freed, and gets them anew,
zeroed page by page, at the next step: up to a quarter of a step's time on a CPU.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Sets it for the rest of the process. Does nothing where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
