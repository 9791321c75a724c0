"""Holding back native notes: silence when all goes well, everything when it does not."""

import logging
import os
import warnings

import pytest

from hypertransformer_tf.deployment.quiet_native import native_notes_held_back


def _speak():
    os.write(2, b"a native note\n")
    warnings.warn("a deprecation")
    logging.getLogger("tensorflow").warning("a log line")


def test_nothing_is_heard_within_and_everything_after(capfd):
    level = logging.getLogger("tensorflow").level
    with native_notes_held_back():
        _speak()
    assert capfd.readouterr().err == ""
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n" and logging.getLogger("tensorflow").level == level


def test_what_was_said_is_shown_when_it_fails(capfd):
    with pytest.raises(ZeroDivisionError):
        with native_notes_held_back():
            os.write(2, b"a native note\n")
            1 / 0
    assert "a native note" in capfd.readouterr().err
