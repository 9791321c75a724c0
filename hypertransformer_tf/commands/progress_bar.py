"""A bar on the terminal while many things of one kind are done."""

import contextlib
import sys
from typing import Any, Iterator

_FEWEST = 50  # fewer are done before a bar could be looked at


class _Progress:
    """Counts and speaks on standard error; see `progress_bar`."""

    def __init__(self, bar: Any = None, task: Any = None) -> None:
        self._bar, self._task = bar, task

    def advance(self) -> None:
        """One more is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def say(self, sentence: str) -> None:
        """A line on standard error that stays."""
        if self._bar is not None:
            self._bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        else:
            print(sentence, file=sys.stderr)


@contextlib.contextmanager
def progress_bar(total: int) -> Iterator[_Progress]:
    """A bar on standard error, where that is a terminal and there is much to do.

    Lines printed meanwhile appear above the bar where standard output is the terminal too.
    """
    if total < _FEWEST or not sys.stderr.isatty():
        yield _Progress()
        return
    import rich.console  # late: it takes a tenth of a second
    import rich.progress

    columns = (
        rich.progress.BarColumn(bar_width=20),
        rich.progress.TextColumn("{task.completed:,}/{task.total:,}"),
        rich.progress.TimeRemainingColumn(),
    )
    console = rich.console.Console(file=sys.stderr)
    with rich.progress.Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as bar:
        yield _Progress(bar, bar.add_task("", total=total))
