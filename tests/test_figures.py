"""Claims about figures of results."""

import io

import numpy as np
import pytest
from PIL import Image
from small_results import RESULTS, ROWS

from hypertransformer_tf.plotting.canvas import can_draw
from hypertransformer_tf.reproduction.figures import draw_figure


def test_the_same_results_give_the_same_bytes():
    pytest.importorskip("matplotlib")
    first, second = (draw_figure("channels", "100_steps", ROWS, RESULTS) for _ in range(2))
    assert first == second and set(first) == {"png", "svg"}
    assert np.asarray(Image.open(io.BytesIO(first["png"]))).std() > 1
    assert b"<svg" in first["svg"] and b"<dc:date>" not in first["svg"]
    assert draw_figure("channels", "100_steps", ROWS, {}) != first  # without results: the paper's points


def test_panels_without_a_point_are_left_out():
    pytest.importorskip("matplotlib")
    svg = draw_figure("figure_4", "100_steps", ROWS, RESULTS)["svg"]
    empty = [row for row in ROWS if row.panel == "FC100"]
    assert svg == draw_figure("figure_4", "100_steps", [row for row in ROWS if row not in empty], RESULTS)["svg"]
    assert b"unlabelled samples per class" in svg  # as a comment beside the outlines of its letters
    assert draw_figure("channels", "100_steps", empty, {})["svg"]  # nothing is known: the empty panel


def test_a_missing_matplotlib_is_seen(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not can_draw()
