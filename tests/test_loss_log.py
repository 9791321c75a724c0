"""The log's lines are means over exactly their own steps."""

import numpy as np
import pytest

from hypertransformer_tf.training.loss_log import LossLog
from hypertransformer_tf.training.losses import Losses


def _add(log, *totals):
    for total in totals:
        log.add(Losses(np.float32(total), np.float32(total / 2), np.float32(0.25)))


def test_a_line_is_the_mean_over_the_steps_since_the_last():
    log = LossLog(task_batch=8)
    _add(log, 1, 3)
    assert log.look(2) is None
    _add(log, 5)
    assert log.look(3) is None
    line = log.take_line()
    assert (line["loss"], line["cross_entropy"], line["accuracy"]) == (3, 1.5, 0.25)
    assert line["episodes_per_second"] > 0
    _add(log, 7)
    assert log.look(4) is None and log.take_line()["loss"] == 7
    assert log.take_line() == {}


def test_recent_means_reach_over_lines():
    log = LossLog(task_batch=1)
    for step in range(1, 31):
        _add(log, step)
        log.look(step)
        log.take_line()
    assert log.recent()["loss"] == pytest.approx(np.mean(range(11, 31)))


def test_a_loss_that_is_not_finite_is_found_with_its_step():
    log = LossLog(task_batch=1)
    _add(log, 1, 1)
    assert log.look(2) is None
    _add(log, 1, float("inf"), 1)
    assert log.look(5) == (float("inf"), 4)
