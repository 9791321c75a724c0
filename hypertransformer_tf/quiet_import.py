"""Importing TensorFlow without the notes that its native code writes to standard error while it loads."""

import importlib
import os
import sys
import tempfile
from types import ModuleType


def import_quietly(name: str) -> ModuleType:
    """Imports a module while standard error is held back; shows what was held back if the import fails.

    TensorFlow's native libraries write some lines before any log level counts, and these would stand
    around the one sentence that a command says. Later messages are not touched.

    Args:
      name: the module, such as 'tensorflow'.
    """
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            module = importlib.import_module(name)
        except BaseException:
            held_back.seek(0)
            os.write(standard_error, held_back.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
    return module
