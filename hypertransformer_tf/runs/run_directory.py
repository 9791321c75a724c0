"""The folder of a run: its configuration, record, metrics and checkpoints, written by one process at a time.

config.json     all parameters; marks the folder as a run and is what a continued run is compared with
config.gin      the same as a gin file that repeats the run
data.json       the classes it trains on and is measured on, and the background of its images
run.json        seed, versions, code, machine, devices and times of every start
metrics.jsonl   one line per report of training or validation
checkpoints/    see `checkpoints.py`
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import pathlib
import sys
from types import TracebackType
from typing import IO, Any, Iterable, Mapping, Optional, Sequence, Type, Union

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import atomic_file, data_record, metrics_file, run_configuration, run_record
from hypertransformer_tf.runs.run_configuration import Configuration
from hypertransformer_tf.runs.run_configuration import read_configuration as read_configuration

_LOCK = ".lock"
_RECORD = "run.json"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class RunDirectory:
    """A run directory held by this process, new or continued; `with` or `close()` releases it.

    Nothing is written, and no folder made, before everything that could be refused has been checked; a run that goes
    on is changed by `begin` and not before.

    Args:
      path: the folder; it and its parents are made.
      configuration: of `config_record.effective_configuration`.
      configuration_text: of `config_record.configuration_text`.
      seed: noted in run.json.
      command_line: noted in run.json; sys.argv if unset.
      data: of `data_record.describe_data`; compared with what the run began with. None is not known.

    Attributes:
      path: the folder.
      checkpoints: the folder of the checkpoints in it.
      is_new: whether this process began the run.

    Raises:
      UserError: the folder is a file, cannot be written, holds something that is no run or a run of
        another configuration or with other data, or another process is using it.
      SaveError: the disk is full; nothing is left of a new run.
    """

    def __init__(
        self,
        path: Union[str, os.PathLike],
        configuration: Configuration,
        configuration_text: str,
        seed: int,
        command_line: Optional[Sequence[str]] = None,
        data: Optional[data_record.DataRecord] = None,
    ) -> None:
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self._metrics = metrics_file.MetricsFile(self.path / "metrics.jsonl")
        self._configuration = json.loads(json.dumps(configuration))
        self._text, self._data = configuration_text, data
        self._check_can_be_used()
        self._begun = self.is_new = False
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self._lock = _acquire(self.path)
        except (UserError, SaveError):
            _remove_empty(self._made)
            raise
        try:
            # Another process may have begun a run here between the first look and the lock.
            self.is_new = self._check_can_be_used()
            record = self._read_record()
            self._record_is_damaged = record is None
            self._record = record or {"starts": []}
            self._record["starts"].append(
                run_record.describe_start(seed, sys.argv if command_line is None else command_line)
            )
            if self.is_new:
                self._write_all()
        except BaseException:
            if self.is_new:
                self._withdraw()
            self.close()
            raise

    def begin(
        self, step: int, devices: Optional[Mapping[str, Any]] = None, validates_again: bool = False
    ) -> Optional[str]:
        """Notes from which step this start goes on, and drops metrics past it; a damaged run.json is set aside.

        Args:
          step: steps done before.
          devices: what computes, by name, noted in run.json.
          validates_again: whether this start measures the validation of that step, which an earlier one may have
            written.

        Returns:
          A sentence if other devices computed the steps before, otherwise None.

        Raises:
          SaveError: the directory cannot be written.
          UserError: metrics.jsonl cannot be read.
        """
        earlier, start = self._record["starts"][:-1], self._record["starts"][-1]
        start.update(from_step=step, **({"devices": dict(devices)} if devices else {}))
        if not self.is_new:
            self._set_damaged_record_aside()
            try:
                self._write_all()
            except UserError as error:
                raise SaveError(str(error)) from error
        self._begun = True
        self._metrics.drop_after(step, validates_again)
        self._write_record()
        drawn = run_configuration.drawn_in_a_step(self._configuration)
        return run_record.changed_devices(earlier, devices or {}, drawn) if step else None

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl; `values` has a 'step'.

        Raises:
          SaveError: it cannot be written, or the directory is not there any more.
        """
        self.check_is_there()
        self._metrics.append(values)

    def check_is_there(self) -> None:
        """Raises SaveError if the directory was removed, or another one is in its place; asked before each write."""
        try:
            found, held = os.stat(self.path / _LOCK), os.fstat(self._lock.fileno())
            if os.path.samestat(found, held):
                return
        except OSError:
            pass
        raise SaveError(
            f"Run directory {self.path} was removed, moved or replaced during training, which stopped as nothing more "
            "can be saved there: put it back to go on from its last checkpoint, or begin anew by the same command."
        )

    def finish(self, outcome: str, step: int) -> None:
        """Notes in run.json how this start ended ('finished', 'interrupted', ...) and at which step.

        Raises:
          SaveError: it cannot be written, or the directory is not there any more.
        """
        if not self._begun:
            return
        self.check_is_there()
        self._record["starts"][-1].update(ended=run_record.now(), outcome=outcome, to_step=step)
        self._write_record()

    def close(self) -> None:
        """Releases the folder for other processes. May be called twice."""
        self._metrics.close()
        with contextlib.suppress(OSError):  # some file systems say only now that the disk was full
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
        for name in ("config.json", "config.gin", data_record.FILE, _RECORD, _LOCK):
            (self.path / name).unlink(missing_ok=True)
        _remove_empty((self.checkpoints, *self._made))

    def _read_record(self) -> Optional[dict[str, Any]]:
        """What run.json says, or None where it is damaged."""
        try:
            starts = json.loads((self.path / _RECORD).read_text(encoding="utf-8"))["starts"]
        except FileNotFoundError:
            return {"starts": []}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_whole = isinstance(starts, list) and all(isinstance(start, dict) for start in starts)
        return {"starts": starts} if is_whole else None

    def _set_damaged_record_aside(self) -> None:
        if not self._record_is_damaged:
            return
        aside = self.path / f"{_RECORD}.damaged"
        try:
            os.replace(self.path / _RECORD, aside)
        except OSError as error:
            raise SaveError(f"{self.path / _RECORD} could not be set aside: {error.strerror or error}.") from error
        self._record_is_damaged = False
        logging.warning(
            "%s is damaged and was renamed to %s; the record of this run's starts begins anew.",
            self.path / _RECORD,
            aside.name,
        )

    def _check_can_be_used(self) -> bool:
        """Whether a run would be new here. Writes nothing."""
        try:
            is_new = _check_folder(self.path, self._configuration)
        except (OSError, ValueError) as error:  # a name too long, a null character
            raise _cannot_write(self.path, error) from None
        if not is_new and self._data is not None:
            remedy = "take the change back to continue it, or choose another --run_dir"
            data_record.check_same_data(self.path, self._data, remedy)
        return is_new

    def _write_all(self) -> None:
        try:
            atomic_file.remove_partial_files(self.path)
            if self._data is not None:
                _write_json(self.path / data_record.FILE, self._data)
            _write_json(self.path / "config.json", self._configuration)
            atomic_file.write_atomically(self.path / "config.gin", self._text.encode())
            _write_json(self.path / _RECORD, self._record)
            self.checkpoints.mkdir(exist_ok=True)
            atomic_file.remove_partial_files(self.checkpoints)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _write_record(self) -> None:
        try:
            _write_json(self.path / _RECORD, self._record)
        except OSError as error:
            raise SaveError(f"{self.path / _RECORD} could not be written: {error.strerror or error}.") from error


def _check_folder(path: pathlib.Path, configuration: Configuration) -> bool:
    """Whether a run would be new in this folder."""
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
        run_configuration.check_same_configuration(path, configuration)
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
    return entry.name in (_LOCK, data_record.FILE) or atomic_file.is_partial(entry)


def _acquire(path: pathlib.Path) -> IO[bytes]:
    """Makes the folder if need be and locks it; the lock goes when the file is closed or the process ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = open(path / _LOCK, "ab+", buffering=0)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _cannot_write(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "unknown"
        file.close()
        raise UserError(
            f"Run directory {path} is being used by process {holder}: wait until it ends, or choose another --run_dir."
        ) from None
    except OSError as error:
        logging.warning("%s cannot be locked (%s): take care that no second process trains in it.", path, error)
    with contextlib.suppress(OSError):  # the number is only for the message above; the disk may be full
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    return file


def _remove_empty(folders: Iterable[pathlib.Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):  # it was not made, or something else lies in it by now
            folder.rmdir()


def _write_json(path: pathlib.Path, value: Any) -> None:
    atomic_file.write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def _cannot_write(path: pathlib.Path, error: Exception) -> Union[UserError, SaveError]:
    reason = getattr(error, "strerror", None) or error
    if getattr(error, "errno", None) in _FULL:
        return SaveError(f"Run directory {path} cannot be written: {reason}; make room, or choose another --run_dir.")
    return UserError(f"Run directory {path} cannot be written: {reason}; choose another --run_dir.")
