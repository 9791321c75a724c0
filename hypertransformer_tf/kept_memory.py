"""Memory that is freed stays with the process, for programs that need the same again at once.

A step needs some 100 MB for moments. The C library gives them back to the system when they are freed and gets them
anew, zeroed page by page, at the next step: up to a third of a step's time on a CPU, or nothing, as threads and arenas
happen to meet. TensorFlow's own allocator, which it uses for accelerators, keeps what it has. It takes 64 GiB at most
unless told otherwise, whatever the machine has.
"""

import os
from typing import Optional


def keep_freed_memory() -> None:
    """Sets it for tensors on the CPU, up to the machine's memory, unless the environment says otherwise.

    To be called before TensorFlow is used.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    mebibytes = _physical_mebibytes()
    if mebibytes is not None:
        os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(mebibytes))


def _physical_mebibytes() -> Optional[int]:
    """The machine's memory; None where the system does not tell."""
    try:
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    return pages * page // 2**20 if pages > 0 and page > 0 else None
