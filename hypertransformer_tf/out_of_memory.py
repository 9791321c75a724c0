"""The sentence to be read where TensorFlow had no memory left."""

import contextlib
import re
from typing import Iterator

import tensorflow as tf

from hypertransformer_tf.errors import UserError

_SAID = re.compile(
    r"OOM when allocating tensor with shape\[[\d,]*\] and type \w+(?: on \S+)?|out of memory[^\n]*", re.IGNORECASE
)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out; CUDA's libraries and drivers say so in internal errors."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return True
    return isinstance(error, tf.errors.InternalError) and "out of memory" in str(error).lower()


def out_of_memory(error: BaseException, doing: str, remedy: str) -> UserError:
    """The error to raise instead.

    Args:
      error: for which `ran_out` holds.
      doing: what needed the memory: 'while training'.
      remedy: what to change, without a full stop.
    """
    said, lines = _SAID.search(str(error)), str(error).strip().splitlines()
    what = said[0] if said else lines[0] if lines else "TensorFlow does not say of what"
    return UserError(f"Memory ran out {doing} ({what.rstrip(' .:')}): {remedy}.")


@contextlib.contextmanager
def memory_explained(doing: str, remedy: str) -> Iterator[None]:
    """Inside, errors for which `ran_out` holds become those of `out_of_memory`.

    Not for work that the processes of a cluster share; that is for `training/strategy.py`.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.InternalError) as error:
        if not ran_out(error):
            raise
        raise out_of_memory(error, doing, remedy) from error
