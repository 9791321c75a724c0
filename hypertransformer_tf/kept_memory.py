"""Memory that is freed stays with the process, for programs that need the same again at once.

A step needs some 100 MB for moments. The C library gives them back to the system when they are freed and gets them
anew, zeroed page by page, at the next step: up to a third of a step's time on a CPU, or nothing, as threads and arenas
happen to meet. TensorFlow's own allocator, which it uses for accelerators, keeps what it has.
"""

import os


def keep_freed_memory() -> None:
    """Sets it for tensors on the CPU, unless the environment says otherwise. To be called before TensorFlow is used."""
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
