"""A bar on a terminal where there is much to do, and nothing elsewhere."""

import io
import sys

from hypertransformer_tf.commands.progress_bar import progress_bar


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _on_terminal(monkeypatch, total):
    """What a terminal shows of the work."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    _work(total)
    return sys.stderr.getvalue()


def _work(total):
    with progress_bar(total) as progress:
        for index in range(total):
            progress.advance()
            print(f"answer {index}")
        progress.say("[b] is left out")


def test_a_terminal_shows_how_far_it_is(monkeypatch, capsys):
    shown = _on_terminal(monkeypatch, 1000)
    assert "1,000/1,000" in shown and "[b] is left out\n" in shown
    assert capsys.readouterr().out.count("answer") == 1000 and "answer" not in shown


def test_a_few_need_no_bar(monkeypatch, capsys):
    assert _on_terminal(monkeypatch, 3) == "[b] is left out\n"
    assert capsys.readouterr().out.count("answer") == 3


def test_elsewhere_there_are_only_sentences(capsys):
    _work(1000)
    assert capsys.readouterr().err == "[b] is left out\n"
