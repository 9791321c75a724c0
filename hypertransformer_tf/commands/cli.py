"""What all commands share: flags that explain themselves, and what becomes of an error.

Python's argparse reads the flags: its help has room for a description and examples, which absl's has
not, and it needs no set-up. Flags are written as `--name=value` or `--name value`.
"""

import argparse
import difflib
import importlib
import logging
import os
import select
import sys
from typing import Any, Callable, NoReturn, Optional, Sequence

from hypertransformer_tf.errors import LostWorkerError, SaveError, StoppedWorkerError, UserError, plain_sentence
from hypertransformer_tf.training.restarts import LOST, shown_status
from hypertransformer_tf.training.strategy_names import STRATEGIES

INSTALLED_AS = "hypertransformer"  # `hypertransformer train` is bin/train where the package was installed


class Parser(argparse.ArgumentParser):
    """Reads a command's flags and reports a wrong one as a UserError, in one sentence."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        installed = sys.argv[0] == f"{INSTALLED_AS} {command}"
        super().__init__(
            prog=sys.argv[0] if installed else f"bin/{command}",
            description=description,
            epilog=f"examples:\n{examples.replace('bin/', f'{INSTALLED_AS} ') if installed else examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message.rstrip('.')}; {self.prog} --help lists what there is.")

    def parse(self, arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
        """The flags' values; sys.argv if `arguments` is unset. Raises UserError."""
        words = sys.argv[1:] if arguments is None else arguments
        if not {"-h", "--help"}.intersection(words):
            self._refuse_unknown(words)
        return self.parse_args(words)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Raises UserError for a flag that there is not.

        argparse says first what is missing, which after a slip of the pen is the very flag that was given. So the words
        are read once with nothing required. (The help shows what is required, and must not be printed meanwhile.)
        """
        may_be_required: list[Any] = [*self._actions, *self._mutually_exclusive_groups]
        required = [each for each in may_be_required if each.required]
        for each in required:
            each.required = False
        try:
            _, unknown = self.parse_known_args(words)
        finally:
            for each in required:
                each.required = True
        if unknown:
            name = unknown[0].partition("=")[0]
            known = [option for action in self._actions for option in action.option_strings]
            close = difflib.get_close_matches(name, known, n=1)
            self.error(f"{unknown[0]!r} is not one of its flags" + (f"; did you mean {close[0]}" if close else ""))


def add_configuration_flags(parser: Parser) -> None:
    """--gin_file and --gin_bindings."""
    parser.add_argument(
        "--gin_file",
        metavar="FILE",
        required=True,
        help="the configuration: a path, or a name within gin/; gin/README.md lists them",
    )
    parser.add_argument(
        "--gin_bindings",
        metavar="BINDING",
        action="append",
        default=[],
        help='changes one value, such as "episodes.n_way = 10"; may be given several times',
    )


def add_data_flag(parser: Parser) -> None:
    """--data_dir."""
    parser.add_argument(
        "--data_dir",
        metavar="DIR",
        help="where prepared TFDS data lies (default: $TFDS_DATA_DIR, then ~/tensorflow_datasets)",
    )


def add_strategy_flag(parser: Parser) -> None:
    """--strategy."""
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="how devices share the work (default: auto, as many of the machine's as divide a task batch)",
    )


def at_least(smallest: int) -> Callable[[str], int]:
    """The type of a flag that takes a whole number; 250_000 may be written so."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
        return value

    return whole_number


def positive_seconds(text: str) -> float:
    """The type of a flag that takes a time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def positive_number(text: str) -> float:
    """The type of a flag that takes a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def check_flags(module: str) -> None:
    """Reads the flags of a command's module and ends the process if that is all: help, or a wrong flag.

    What bin/ does before it sets up an environment.
    """
    status = run(importlib.import_module(module).read_flags)
    if status:
        raise SystemExit(status)


def run(command: Callable[[], Any]) -> int:
    """Runs a command's work and returns its exit status.

    0 where it did what was asked; 2 for a value that cannot be used (UserError) and for too little memory; 1 where
    something could not be saved (SaveError) or another worker stopped or was lost (StoppedWorkerError,
    LostWorkerError); 130 for Ctrl-C; each with one sentence on standard error. 1 without a word where whoever reads
    what is printed has enough, as `head` does. Anything else is a bug and keeps its traceback.
    """
    # TensorFlow's native notes would hide the sentence; its Python errors are not touched by this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        command()
        sys.stdout.flush()
    except UserError as error:
        return _say(error, 2)
    except (SaveError, StoppedWorkerError) as error:
        return _say(error, 1)
    except LostWorkerError as error:
        return _say(error, shown_status(LOST))
    except MemoryError as error:  # of NumPy and Python; TensorFlow's own is explained where it arises
        what = f" ({str(error).rstrip('.')})" if str(error) else ""
        remedy = "ask for fewer or smaller pictures, or lower training.task_batch"
        return _say(UserError(f"The memory of this machine ran out{what}: {remedy}."), 2)
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return 1
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "Interrupted.", file=sys.stderr)
        return 130
    return 0


def _reader_is_gone() -> bool:
    """Whether nobody takes what is printed; then nothing more is, as Python would complain at its end."""
    printed = sys.stdout.fileno()
    watch = select.poll()
    watch.register(printed, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), printed)
    return True


def _say(error: Exception, status: int) -> int:
    print(plain_sentence(error).replace("\n", " "), file=sys.stderr)
    return status
