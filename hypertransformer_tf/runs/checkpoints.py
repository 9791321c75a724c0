"""Checkpoint files: named arrays and a few settings in one safetensors file with its own checksum.

A folder holds the newest few, `checkpoint-00001234.safetensors`, and perhaps `best.safetensors`. Any
safetensors reader opens them. Each is written beside its place and renamed, so a process killed at any
moment leaves the checkpoint before. TensorFlow is not needed to read or write them.
"""

import hashlib
import json
import logging
import os
import pathlib
import re
from typing import Callable, Mapping, NamedTuple, Optional, Union

import numpy as np
import safetensors
import safetensors.numpy

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.runs import atomic_file

BEST = "best.safetensors"
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_PathLike = Union[str, os.PathLike]
Metadata = Mapping[str, Union[str, int, float]]


class Checkpoint(NamedTuple):
    """What a checkpoint file holds."""

    path: pathlib.Path
    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Union[str, int, float]]


class DamagedCheckpoint(UserError):
    """A checkpoint file that does not give back what was written to it; `problem` says how that shows.

    Its words follow the file's name: 'is damaged (checksum differs)', 'cannot be read (Input/output error)'.
    """

    def __init__(self, path: pathlib.Path, problem: str) -> None:
        super().__init__(f"Checkpoint {path} {problem}: remove it or restore it from a copy.")
        self.problem = problem


def save_checkpoint(
    directory: _PathLike, step: int, arrays: Mapping[str, np.ndarray], metadata: Metadata, keep: int = 3
) -> pathlib.Path:
    """Saves the checkpoint of a step and removes all but the newest `keep`.

    Args:
      directory: made if it is not there, but not its parents: a run that was removed is not begun again.
      step: training steps done; at least 0.
      arrays: by name; any shape, NumPy's numeric and boolean dtypes.
      metadata: str, int and float values come back as they were.
      keep: how many to keep, at least 1; `best.safetensors` does not count.

    Raises:
      SaveError: the disk is full or cannot be written; the checkpoints from before are intact.
    """
    path = pathlib.Path(directory) / f"checkpoint-{step:08d}.safetensors"
    _write(path, step, arrays, metadata)
    # A checkpoint of a later step is one that was damaged when training went back to an earlier step:
    # it would take the place of a good one among the newest.
    earlier = [(found, other) for found, other in _numbered(path.parent) if found <= step]
    kept = {other for _, other in earlier[: max(keep, 1)]}
    for _, other in _numbered(path.parent):
        if other not in kept:
            other.unlink(missing_ok=True)
    return path


def save_best(directory: _PathLike, step: int, arrays: Mapping[str, np.ndarray], metadata: Metadata) -> pathlib.Path:
    """Saves `best.safetensors`, which no later checkpoint removes. Raises SaveError as above."""
    path = pathlib.Path(directory) / BEST
    _write(path, step, arrays, metadata)
    return path


def load_latest(directory: _PathLike, report: Callable[[str], None] = logging.warning) -> Optional[Checkpoint]:
    """The newest checkpoint that can be read, or None where there is none yet.

    Args:
      directory: changed in no way, so that a run can be evaluated while it trains.
      report: gets a sentence for each damaged checkpoint that was passed over.

    Raises:
      UserError: there are checkpoints but every one of them is damaged, or the directory cannot be read.
    """
    damaged: list[DamagedCheckpoint] = []
    try:
        paths = [path for _, path in _numbered(pathlib.Path(directory))]
    except OSError as error:
        raise UserError(
            f"The checkpoints in {directory} cannot be read ({error.strerror or error}): make the directory readable."
        ) from error
    for path in paths:
        try:
            checkpoint = load_checkpoint(path)
        except FileNotFoundError:  # a newer one took its place while we looked
            continue
        except DamagedCheckpoint as error:
            damaged.append(error)
            continue
        for passed, name in zip(damaged, paths):
            report(f"Checkpoint {name.name} {passed.problem}; continuing from step {checkpoint.step}.")
        return checkpoint
    if damaged:
        raise UserError(
            f"All {len(damaged)} checkpoints in {directory} are of no use, as the newest {damaged[0].problem}: "
            "restore one from a copy, or remove them to begin again."
        )
    return None


def load_best(directory: _PathLike) -> Optional[Checkpoint]:
    """The best checkpoint, or None where none was kept yet. Raises DamagedCheckpoint."""
    try:
        return load_checkpoint(pathlib.Path(directory) / BEST)
    except FileNotFoundError:
        return None


def load_for_use(directory: _PathLike, report: Callable[[str], None] = logging.warning) -> Optional[Checkpoint]:
    """The checkpoint to measure or use a run by: the best, or the newest where none was kept; None without any.

    Args:
      directory: changed in no way.
      report: gets a sentence where the best was kept once but is missing or damaged, so that the newest is taken.

    Raises:
      UserError: no checkpoint can be read.
    """
    try:
        best, problem, missed = load_best(directory), "is not there any more", False
    except DamagedCheckpoint as error:
        best, problem, missed = None, error.problem, True
    if best is not None:
        return best
    newest = load_latest(directory, report)
    missed = missed or (newest is not None and float(newest.metadata.get("best_validation", -1)) >= 0)
    if newest is None and missed:
        raise UserError(f"{pathlib.Path(directory) / BEST} {problem}, and there is no other checkpoint.")
    if newest is not None and missed:
        report(f"{pathlib.Path(directory) / BEST} {problem}; the newest checkpoint, of step {newest.step}, is used.")
    return newest


def load_checkpoint(path: _PathLike) -> Checkpoint:
    """Reads one checkpoint file and checks that it holds what was written.

    Raises:
      FileNotFoundError: there is no such file.
      DamagedCheckpoint: the file was cut, changed, cannot be read, or is not a checkpoint of this library.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedCheckpoint(path, f"cannot be read ({error.strerror or error})") from error
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        recorded = header["__metadata__"]
        state, checksum = recorded["state"], recorded["sha256"]
        if _checksum(state, arrays) != checksum:
            raise DamagedCheckpoint(path, "is damaged (checksum differs)")
        values = json.loads(state)
        return Checkpoint(path, values["step"], arrays, values["metadata"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(path, "is damaged (cut short or not a checkpoint)") from error


def _write(path: pathlib.Path, step: int, arrays: Mapping[str, np.ndarray], metadata: Metadata) -> None:
    # safetensors writes an array's memory as it lies there, hence C order (np.ascontiguousarray would
    # turn a scalar into a vector).
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    state = json.dumps({"step": int(step), "metadata": dict(metadata)}, sort_keys=True)
    recorded = {"state": state, "sha256": _checksum(state, ordered)}
    content = safetensors.numpy.save(ordered, metadata=recorded)
    try:
        path.parent.mkdir(exist_ok=True)
        atomic_file.write_atomically(path, content)
    except OSError as error:
        newest = _numbered(path.parent)
        intact = f"{newest[0][1].name} is intact" if newest else "nothing had been saved before"
        raise SaveError(
            f"Step {step} could not be saved as {path}: {error.strerror or error}; {intact}: "
            "make room and start the same command again to go on from it."
        ) from error


def _numbered(directory: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """(step, path) of the numbered checkpoints, the newest first."""
    try:
        paths = list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in paths)
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def _checksum(state: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the state and each array's name, dtype, shape and bytes, in order of the names."""
    digest = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name}\n{array.dtype.str}\n{array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
