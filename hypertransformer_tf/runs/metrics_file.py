"""`metrics.jsonl`: one JSON object a line, such as {"step": 100, "loss": 1.2}, whole after every line."""

import json
import math
import pathlib
from typing import IO, Any, Mapping, Optional

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import atomic_file


class MetricsFile:
    """Appends to a metrics file and takes it back to an earlier step when a run is continued."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._file: Optional[IO[str]] = None

    def drop_after(self, step: int, validates_again: bool = False) -> None:
        """Drops lines past `step`, which will be trained again, and lines that a killed process cut off.

        Where the validation of `step` will be measured again too, its line is dropped as well.

        Raises:
          UserError: the file cannot be read.
          SaveError: the file cannot be rewritten; it is as it was.
        """
        self.close()
        try:
            kept = [line for line in read_metrics(self.path) if line.get("step", 0) <= step]
        except FileNotFoundError:
            return
        if validates_again:
            kept = [line for line in kept if line.get("step") != step or "validation/accuracy" not in line]
        content = "".join(f"{json.dumps(line)}\n" for line in kept)
        try:
            atomic_file.write_atomically(self.path, content.encode())
        except OSError as error:
            raise _save_error(self.path, error) from error

    def append(self, values: Mapping[str, Any]) -> None:
        """Adds one line; NumPy scalars are taken, numbers that are not finite become null.

        Raises:
          SaveError: the line cannot be written.
        """
        try:
            if self._file is None:
                self._file = open(self.path, "a", encoding="utf-8")
            line = json.dumps({key: _number(value) for key, value in values.items()})
            self._file.write(f"{line}\n")
            self._file.flush()
        except OSError as error:
            self.close()
            raise _save_error(self.path, error) from error

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError:  # the line that could not be written was reported by `append`
            pass


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without any that is not a whole JSON object.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be read ({reason}): make it readable or restore it from a copy.") from error
    lines = []
    for line in content.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            lines.append(values)
    return lines


def _number(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _save_error(path: pathlib.Path, error: OSError) -> SaveError:
    return SaveError(
        f"{path} could not be written: {error.strerror or error}; the checkpoints saved so far "
        "are intact: make room and start the same command again."
    )
