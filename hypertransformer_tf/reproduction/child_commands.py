"""Running the other commands as processes of their own: a row that fails takes no other with it."""

import json
import pathlib
import signal
import subprocess
import sys
from typing import Any, Optional, Sequence

import hypertransformer_tf
from hypertransformer_tf.parent_death import end_with_parent

_ROOT = pathlib.Path(hypertransformer_tf.__file__).resolve().parents[1]


class CommandError(Exception):
    """A command did not end well.

    Attributes:
      refused: it said in a sentence that a value or data cannot be used, and did nothing.
    """

    def __init__(self, message: str, refused: bool):
        super().__init__(message)
        self.refused = refused


def run_command(command: str, flags: Sequence[str], log: Optional[pathlib.Path] = None) -> str:
    """Runs one of the library's commands and returns what it printed.

    Args:
      command: such as 'train'.
      flags: its flags.
      log: a file to which everything it says is added; without it, its words on standard error are shown if it fails.

    Raises:
      CommandError: it ended with another status than 0.
      KeyboardInterrupt: it was interrupted.
    """
    arguments = [sys.executable, "-c", _START.format(root=str(_ROOT), command=command), *flags]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=end_with_parent(signal.SIGKILL)
    )
    try:
        out, err = process.communicate()
    except BaseException:  # Ctrl-C in a terminal reaches the process too; a signal sent to this one alone does not
        process.terminate()
        process.wait()
        raise
    if log is not None:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ bin/{command} {' '.join(flags)}\n{err}{out}\n")
    if process.returncode == 130:
        raise KeyboardInterrupt(err.strip())
    if process.returncode != 0:
        said = [line for line in err.splitlines() if line.strip()]
        raise CommandError(said[-1] if said else f"ended with status {process.returncode}", process.returncode == 2)
    return out


def measured_speeds(gin_files: Sequence[pathlib.Path], data_dir: Optional[str]) -> list[float]:
    """Episodes per second that configurations train at here, measured in turns. Raises CommandError."""
    first, *others = gin_files
    flags = [f"--gin_file={first}", *(f"--beside={other}" for other in others)]
    flags += ["--seconds=10", "--json", *data_flag(data_dir)]
    measured = _last_json(run_command("benchmark", flags))
    return [float(each["episodes_per_second"]) for each in (measured["speeds"] if others else [measured])]


def measured_accuracy(run_dir: pathlib.Path, split: str, episodes: int, data_dir: Optional[str]) -> float:
    """Accuracy of a run on a split of the classes, over so many episodes. Raises CommandError."""
    size = [f"--episodes={episodes}", "--query_batches=1"]
    flags = [f"--run_dir={run_dir}", f"--split={split}", *size, "--json", *data_flag(data_dir)]
    return float(_last_json(run_command("evaluate", flags))["accuracy"])


def data_flag(data_dir: Optional[str]) -> list[str]:
    """The flag that tells a command where TFDS data lies, if it was told."""
    return [] if data_dir is None else [f"--data_dir={data_dir}"]


_START = """
import sys
sys.path.insert(0, {root!r})
sys.argv[0] = 'bin/{command}'
from hypertransformer_tf.commands import {command}
sys.exit({command}.main())
"""


def _last_json(text: str) -> dict[str, Any]:
    return json.loads(text.strip().splitlines()[-1])
