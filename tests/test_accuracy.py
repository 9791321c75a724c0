"""The mean over episodes and its interval."""

import numpy as np
import pytest

from hypertransformer_tf.evaluation.accuracy import Accuracy


def test_the_mean_is_over_episodes_and_the_interval_is_of_that_mean():
    values = [0.5, 1.0, 0.75, 0.25, 0.75]
    accuracy = Accuracy.of_episodes(values)
    squares = sum((value - 0.65) ** 2 for value in values)
    assert accuracy.mean == pytest.approx(0.65)
    assert accuracy.interval_95 == pytest.approx(1.96 * (squares / 4) ** 0.5 / 5**0.5)
    assert accuracy.episodes == 5


def test_the_interval_covers_the_truth_in_nineteen_of_twenty_cases():
    stream, covered = np.random.default_rng(0), []
    for _ in range(2_000):
        accuracy = Accuracy.of_episodes(stream.binomial(20, 0.8, size=100) / 20)
        covered.append(abs(accuracy.mean - 0.8) <= accuracy.interval_95)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_equal_episodes_leave_no_doubt():
    assert Accuracy.of_episodes([1.0] * 10) == Accuracy(1.0, 0.0, 10)


def test_one_episode_says_nothing_about_the_others():
    accuracy = Accuracy.of_episodes([0.5])
    assert (accuracy.mean, accuracy.episodes) == (0.5, 1) and np.isnan(accuracy.interval_95)


def test_single_precision_results_are_averaged_in_double():
    accuracy = Accuracy.of_episodes([np.float32(0.1)] * 100_000)
    assert accuracy.mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert type(accuracy.mean) is float and type(accuracy.interval_95) is float


def test_it_reads_as_percentages():
    assert str(Accuracy(0.87251, 0.00344, 1024)) == "87.25% +- 0.34 (1024 episodes)"
