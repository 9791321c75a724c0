"""The folder of a run: its configuration, record, metrics and checkpoints, written by one process at a time.

config.json     all parameters; marks the folder as a run and is what a continued run is compared with
config.gin      the same as a gin file that repeats the run
run.json        seed, versions, code, machine and times of every start
metrics.jsonl   one line per report of training or validation
checkpoints/    see `checkpoints.py`
"""

import fcntl
import json
import logging
import os
import pathlib
import sys
from types import TracebackType
from typing import IO, Any, Mapping, Optional, Sequence, Type, Union

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import atomic_file, metrics_file, run_record

Configuration = Mapping[str, Mapping[str, Any]]

# How long a run goes on, and where its data lies, do not change what it computes.
NOT_COMPARED = ("training.steps", "data.data_dir")
_LOCK = ".lock"
_SHOWN_DIFFERENCES = 6


class RunDirectory:
    """A run directory held by this process, new or continued; `with` or `close()` releases it.

    Nothing is written, and no folder made, before everything that could be refused has been checked.

    Args:
      path: the folder; it and its parents are made.
      configuration: of `config.effective_configuration`.
      configuration_text: of `config.configuration_text`.
      seed: noted in run.json.
      command_line: noted in run.json; sys.argv if unset.

    Attributes:
      path: the folder.
      checkpoints: the folder of the checkpoints in it.
      is_new: whether this process began the run.

    Raises:
      UserError: the folder is a file, cannot be written, holds something that is no run or a run of
        another configuration, or another process is using it.
    """

    def __init__(
        self,
        path: Union[str, os.PathLike],
        configuration: Configuration,
        configuration_text: str,
        seed: int,
        command_line: Optional[Sequence[str]] = None,
    ) -> None:
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self._metrics = metrics_file.MetricsFile(self.path / "metrics.jsonl")
        configuration = json.loads(json.dumps(configuration))
        _check_can_be_used(self.path, configuration)
        self._begun = False
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self._lock = _acquire(self.path)
        try:
            # Another process may have begun a run here between the first look and the lock.
            self.is_new = _check_can_be_used(self.path, configuration)
            self._record = self._read_record()
            self._record["starts"].append(
                run_record.describe_start(seed, sys.argv if command_line is None else command_line)
            )
            self._write_all(configuration, configuration_text)
        except BaseException:
            self.close()
            raise

    def begin(self, step: int) -> None:
        """Notes from which step this start goes on, and drops metrics past it. Raises SaveError."""
        self._begun = True
        self._metrics.drop_after(step)
        self._record["starts"][-1]["from_step"] = step
        self._write_record()

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl; `values` has a 'step'. Raises SaveError."""
        self._metrics.append(values)

    def finish(self, outcome: str, step: int) -> None:
        """Notes in run.json how this start ended ('finished', 'interrupted', ...) and at which step."""
        self._record["starts"][-1].update(ended=run_record.now(), outcome=outcome, to_step=step)
        self._write_record()

    def close(self) -> None:
        """Releases the folder for other processes. May be called twice."""
        self._metrics.close()
        self._lock.close()

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is not None and self.is_new and not self._begun:
            self._withdraw()
        self.close()

    def _withdraw(self) -> None:
        """Takes back a run that could not begin: its files, and the folders that were made for it."""
        for name in ("config.json", "config.gin", "run.json", _LOCK):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.checkpoints, *self._made):
            try:
                folder.rmdir()
            except OSError:  # something else lies in it by now
                return

    def _read_record(self) -> dict[str, Any]:
        try:
            record = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
            return {"starts": list(record["starts"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {"starts": []}

    def _write_all(self, configuration: Configuration, text: str) -> None:
        try:
            atomic_file.remove_partial_files(self.path)
            _write_json(self.path / "config.json", configuration)
            atomic_file.write_atomically(self.path / "config.gin", text.encode())
            _write_json(self.path / "run.json", self._record)
            self.checkpoints.mkdir(exist_ok=True)
            atomic_file.remove_partial_files(self.checkpoints)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _write_record(self) -> None:
        try:
            _write_json(self.path / "run.json", self._record)
        except OSError as error:
            raise SaveError(f"{self.path / 'run.json'} could not be written: {error.strerror or error}.") from error


def read_configuration(path: Union[str, os.PathLike]) -> dict[str, dict[str, Any]]:
    """The configuration of the run in a folder, as `config.effective_configuration` gave it.

    Raises:
      UserError: the folder is not there or holds no run, or its config.json cannot be read.
    """
    file = pathlib.Path(path) / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is not a run directory (no config.json in it): give the directory that "
            "bin/train named, such as runs/quickstart."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UserError(f"{file} cannot be read: {reason}.") from None


def differences(old: Configuration, new: Configuration) -> list[str]:
    """'episodes.n_way: 5 -> 20' for each parameter that differs and matters."""
    flat_old, flat_new = _flat(old), _flat(new)
    return [
        f"{name}: {flat_old.get(name, 'unset')!r} -> {flat_new.get(name, 'unset')!r}"
        for name in sorted(flat_old.keys() | flat_new.keys())
        if name not in NOT_COMPARED and flat_old.get(name, _flat) != flat_new.get(name, _flat)
    ]


def _flat(configuration: Configuration) -> dict[str, Any]:
    return {
        f"{name}.{parameter}": value
        for name, parameters in configuration.items()
        for parameter, value in parameters.items()
    }


def _check_can_be_used(path: pathlib.Path, configuration: Configuration) -> bool:
    """Whether a run would be new here. Writes nothing."""
    existing = path
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"Run directory {path} cannot be made: {existing} is a file; choose another --run_dir.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(
            f"Run directory {path} cannot be written: no permission in {existing}; choose another --run_dir."
        )
    if (path / "config.json").exists():
        changed = differences(read_configuration(path), configuration)
        if changed:
            more = len(changed) - _SHOWN_DIFFERENCES
            shown = ", ".join(changed[:_SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")
            raise UserError(
                f"Run directory {path} holds a run of another configuration ({shown}): choose another "
                "--run_dir, or take the change back to continue it."
            )
        return False
    foreign = [entry.name for entry in path.iterdir() if not _is_ours(entry)] if path.exists() else []
    if foreign:
        raise UserError(
            f"Run directory {path} holds something else ({min(foreign)!r}, and no config.json): choose "
            "another --run_dir."
        )
    return True


def _is_ours(entry: pathlib.Path) -> bool:
    # All that a process killed while it began a run can leave before config.json is there.
    return entry.name == _LOCK or atomic_file.is_partial(entry)


def _acquire(path: pathlib.Path) -> IO[str]:
    """Makes the folder if need be and locks it; the lock goes when the file is closed or the process ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = open(path / _LOCK, "a+", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise UserError(
            f"Run directory {path} is being used by process {holder}: wait until it ends, or choose another --run_dir."
        ) from None
    except OSError as error:
        logging.warning("%s cannot be locked (%s): take care that no second process trains in it.", path, error)
    return file


def _write_json(path: pathlib.Path, value: Any) -> None:
    atomic_file.write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def _cannot_write(path: pathlib.Path, error: OSError) -> UserError:
    return UserError(f"Run directory {path} cannot be written: {error.strerror or error}; choose another --run_dir.")
