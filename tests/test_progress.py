"""Progress: plain lines now and then where nobody watches, a live line on a terminal."""

import io
import os
import pty
import re

from hypertransformer_tf.training import progress


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _run(steps: int, seconds_per_step: float, stream: io.StringIO, start: int = 0, total: int = 100) -> list[str]:
    clock = _Clock()
    with progress.ProgressReporter(total, start, stream=stream, clock=clock) as reporter:
        for step in range(start + 1, start + steps + 1):
            clock.now += seconds_per_step
            reporter.update(step, loss=1.25, accuracy=0.5, episodes_per_second=61.2)
    return stream.getvalue().splitlines()


def test_plain_lines_come_every_ten_seconds_and_at_the_end():
    lines = _run(50, 1.0, io.StringIO())
    assert [int(re.match(r"step (\d+)/100", line)[1]) for line in lines] == [1, 11, 21, 31, 41, 50]
    assert lines[1].endswith("loss 1.250  accuracy 50.0%  61.2 episodes/s  1 min 29 s left")


def test_time_left_of_a_resumed_run_counts_its_own_steps_only():
    assert _run(11, 1.0, io.StringIO(), start=80)[-1].endswith("9 s left")


def test_the_last_step_is_reported_once():
    assert [line.split()[1] for line in _run(100, 0.01, io.StringIO())] == ["1/100", "100/100"]


def test_validation_and_messages_are_lines_of_their_own_at_once():
    stream = io.StringIO()
    with progress.ProgressReporter(1000, stream=stream, clock=_Clock()) as reporter:
        reporter.validation(200, mean=0.4125, interval=0.008)
        reporter.message("Best so far: kept [best].")
        assert stream.getvalue() == ("step 200/1,000  validation accuracy 41.25% ± 0.80%\nBest so far: kept [best].\n")


def test_a_run_without_a_step_prints_nothing():
    stream = io.StringIO()
    with progress.ProgressReporter(10, 10, stream=stream):
        pass
    assert stream.getvalue() == ""


def test_on_a_terminal_the_line_is_redrawn_a_few_times_a_second():
    stream = _Terminal()
    _run(40, 0.05, stream)
    drawn = re.findall(r"loss 1\.250", stream.getvalue())
    assert 8 <= len(drawn) <= 14  # two seconds at four a second, and the last


def test_a_real_terminal_shows_numbers_and_validation(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as stream, progress.ProgressReporter(100, stream=stream) as reporter:
        reporter.update(3, 2.0, 0.25, 50.0)
        reporter.validation(3, 0.3, 0.01)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert "3/100" in shown and "accuracy 25.0%" in shown and "validation accuracy 30.00% ± 1.00%" in shown


def test_an_error_inside_leaves_the_terminal_usable_and_passes_through():
    stream = _Terminal()
    try:
        with progress.ProgressReporter(10, stream=stream) as reporter:
            reporter.update(1, 1.0, 0.1, 1.0)
            raise RuntimeError("stop")
    except RuntimeError:
        pass
    assert stream.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25l" not in stream.getvalue()


def test_durations_read_as_a_person_would_say_them():
    assert [progress.duration(seconds) for seconds in (4.4, 125, 4020)] == ["4 s", "2 min 05 s", "1 h 07 min"]
