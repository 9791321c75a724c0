"""Holding back what native code notes on standard error while it converts or loads a file."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from typing import Iterator


@contextlib.contextmanager
def native_notes_held_back() -> Iterator[None]:
    """Within the block, standard error, warnings and TensorFlow's log are silent; if it raises, what was said is shown.

    The converter of TensorFlow Lite and its interpreters speak of their own progress and deprecations, which would
    stand around the one line that a command prints.
    """
    logger = logging.getLogger("tensorflow")
    level = logger.level
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held_back, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(standard_error, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            logger.setLevel(level)
