"""The prefetcher hands over values in order, errors where they belong, and stops when told."""

import threading
import time

import pytest

from hypertransformer_tf.episodes.prefetch import Prefetcher


def test_values_come_in_order_and_end():
    with Prefetcher(lambda i: i * i, first=3, count=50, depth=2) as values:
        assert list(values) == [i * i for i in range(3, 53)]
        assert list(values) == []


def test_nothing_is_asked_for_when_count_is_0():
    with Prefetcher(pytest.fail, 0, 0) as values:
        assert list(values) == []


def test_values_are_made_ahead_but_no_more_than_depth():
    made = []
    with Prefetcher(lambda i: made.append(i) or i, 0, 100, depth=3) as values:
        _wait_until(lambda: len(made) == 4)  # three wait, one is in hand
        time.sleep(0.05)
        assert made == [0, 1, 2, 3]
        assert next(values) == 0
        _wait_until(lambda: len(made) == 5)


def test_values_are_made_on_another_thread():
    with Prefetcher(lambda i: threading.current_thread(), 0, 1) as values:
        assert next(values) is not threading.current_thread()


def test_an_exception_comes_after_the_values_before_it():
    def make(i):
        if i == 2:
            raise KeyError("episode 2")
        return i

    with Prefetcher(make, 0, 5) as values:
        assert [next(values), next(values)] == [0, 1]
        with pytest.raises(KeyError, match="episode 2"):
            next(values)
        assert list(values) == []


def test_leaving_early_ends_the_thread():
    threads = threading.active_count()
    made = []
    with Prefetcher(lambda i: made.append(i) or i, 0, 10**6, depth=2) as values:
        next(values)
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads and len(made) <= 4
    assert list(values) == []
    values.close()


def test_an_exception_in_the_block_passes_and_ends_the_thread():
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="step"):
        with Prefetcher(lambda i: i, 0, 100) as values:
            next(values)
            raise RuntimeError("step")
    assert threading.active_count() == threads


def test_waiting_is_counted_when_values_are_slow_only():
    def slow(i):
        time.sleep(0.05)
        return i

    with Prefetcher(slow, 0, 4) as values:
        list(values)
        assert 0.15 < values.waited_seconds < 2
    with Prefetcher(lambda i: i, 0, 3, depth=3) as values:
        _wait_until(lambda: len(values._ready) == 3)
        assert values.waited_seconds == 0
        list(values)
        assert values.waited_seconds < 0.05


@pytest.mark.parametrize("count,depth", [(-1, 4), (3, 0)])
def test_impossible_numbers_are_refused(count, depth):
    with pytest.raises(ValueError, match=f"count = {count} .*depth = {depth}"):
        Prefetcher(lambda i: i, 0, count, depth)


def _wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
