"""Importing TensorFlow without its notes on standard error, and Keras without what no command uses."""

import contextlib
import importlib
import os
import sys
import tempfile
from types import ModuleType
from typing import Iterator

# Keras takes each of these if it is installed, for pictures, wrappers and tables that no command asks it for. Together
# they are two fifths of the time that importing TensorFlow takes.
_NOT_FOR_KERAS = ("matplotlib", "pandas", "sklearn")
_real_standard_error = 2


def standard_error() -> int:
    """The file descriptor of standard error, also while an import holds back what is written to 2."""
    return _real_standard_error


def import_quietly(name: str) -> ModuleType:
    """Imports a module while standard error is held back; shows what was held back if the import fails.

    TensorFlow's native libraries write some lines before any log level counts, and these would stand
    around the one sentence that a command says. Later messages are not touched. Keras, which comes with it, is kept
    from importing `_NOT_FOR_KERAS`; later imports of these are not.

    Args:
      name: the module, such as 'tensorflow'.
    """
    global _real_standard_error
    sys.stderr.flush()
    before, saved = _real_standard_error, os.dup(2)
    _real_standard_error = saved if before == 2 else before
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            with _hidden(_NOT_FOR_KERAS):
                module = importlib.import_module(name)
        except BaseException:
            held_back.seek(0)
            os.write(saved, held_back.read())
            raise
        finally:
            os.dup2(saved, 2)
            _real_standard_error = before
            os.close(saved)
    return module


@contextlib.contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Inside, modules that are not imported yet cannot be."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what makes an import fail
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
