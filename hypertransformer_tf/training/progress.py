"""What a person watching a run sees: a live line on a terminal, a plain line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import IO, Any, Callable, NamedTuple, Optional, Type

_REDRAWS_PER_SECOND = 4  # drawing costs about a millisecond, which a step of a few would feel


class _Numbers(NamedTuple):
    loss: float
    accuracy: float
    episodes_per_second: float


class ProgressReporter:
    """Reports steps, accuracy, speed and time left; used as a context manager.

    On a terminal a bar is redrawn in place, and validations and messages scroll by above it. Elsewhere
    plain lines are written: every `interval_seconds`, at every validation and at the end.

    Args:
      total_steps: the step at which the run ends.
      start_step: the step at which this process takes the run up.
      interval_seconds: between plain lines.
      stream: where to write; standard output if unset.
      clock: gives seconds; replaced in tests.
    """

    def __init__(
        self,
        total_steps: int,
        start_step: int = 0,
        interval_seconds: float = 10.0,
        stream: Optional[IO[str]] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total_steps
        self._step = start_step
        self._stream = sys.stdout if stream is None else stream
        self._between_lines = interval_seconds
        self._clock = clock
        self._numbers: Optional[_Numbers] = None
        self._validation = ""
        self._first: Optional[tuple[float, int]] = None  # when the first update came, and its step
        self._shown_at = -float("inf")
        self._shown_step: Optional[int] = None
        self._bar: Any = None  # rich.progress.Progress on a terminal
        self._task: Any = None

    def __enter__(self) -> "ProgressReporter":
        if self._stream.isatty():
            self._open_bar()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._numbers is not None and self._shown_step != self._step:
            self._show()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def update(self, step: int, loss: float, accuracy: float, episodes_per_second: float) -> None:
        """Says where training stands; cheap enough to be called after every step.

        Args:
          step: steps done, counted over the whole run.
          loss: of the last steps.
          accuracy: on the query sets of the last steps, 0 to 1.
          episodes_per_second: of the last steps.
        """
        now = self._clock()
        if self._first is None:
            self._first = (now, step)  # without the first step, which includes building the graph
        self._step = step
        self._numbers = _Numbers(loss, accuracy, episodes_per_second)
        between = self._between_lines if self._bar is None else 1 / _REDRAWS_PER_SECOND
        if now - self._shown_at >= between or step >= self._total:
            self._show()

    def validation(self, step: int, mean: float, interval: float) -> None:
        """Reports the mean accuracy over validation episodes, 0 to 1, and half its 95% interval."""
        self._step = step
        self._validation = f"validation {mean:.1%}"
        self._print(f"step {step:,}/{self._total:,}  validation accuracy {mean:.2%} ± {interval:.2%}")
        if self._bar is not None:
            self._show()

    def message(self, text: str) -> None:
        """Prints a line that stays."""
        self._print(text)

    def _show(self) -> None:
        self._shown_at = self._clock()
        self._shown_step = self._step
        if self._bar is not None:
            self._bar.update(self._task, completed=self._step, status=self._status(), left=self._time_left())
            self._bar.refresh()
        else:
            parts = [f"step {self._step:,}/{self._total:,}", self._status(), self._time_left()]
            self._print("  ".join(part for part in parts if part))

    def _status(self) -> str:
        parts = [self._validation]
        if self._numbers is not None:
            loss, accuracy, speed = self._numbers
            parts = [f"loss {loss:.3f}", f"accuracy {accuracy:.1%}", self._validation, f"{speed:.1f} episodes/s"]
        return "  ".join(part for part in parts if part)

    def _time_left(self) -> str:
        if self._first is None or self._step <= self._first[1]:
            return ""
        since, from_step = self._first
        seconds = (self._clock() - since) / (self._step - from_step) * max(self._total - self._step, 0)
        return f"{duration(seconds)} left" if seconds > 0 else ""

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _open_bar(self) -> None:
        import rich.console  # late: it takes a tenth of a second, which runs without a terminal save
        import rich.progress

        columns = (
            rich.progress.BarColumn(bar_width=20),
            rich.progress.TextColumn("{task.completed:,}/{task.total:,}"),
            rich.progress.TextColumn("{task.fields[status]}  {task.fields[left]}", markup=False),
        )
        # No thread of its own: the bar is drawn by `update`, between steps.
        self._bar = rich.progress.Progress(
            *columns, console=rich.console.Console(file=self._stream), auto_refresh=False
        )
        self._task = self._bar.add_task("", total=self._total, completed=self._step, status="starting", left="")
        self._bar.start()


def duration(seconds: float) -> str:
    """'4 s', '2 min 05 s', '1 h 07 min'."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
