"""What the processes of a cluster do when one of them ends, hangs or has failed; here they are threads."""

import contextlib
import time

import pytest
import tensorflow as tf
from met_peers import each_of, met, together

from hypertransformer_tf.errors import LostWorkerError, SaveError, StoppedWorkerError, UserError
from hypertransformer_tf.training.shared_evaluation import measure_together
from hypertransformer_tf.training.strategy import explained


def _busy(each):
    """What a process in a collective does: nothing that could be interrupted."""
    time.sleep(1.5)


def test_a_killed_process_is_noticed_by_those_that_wait_for_it():
    peers = met(3)

    def run(each):
        if each.cluster.index == 2:
            for connection in each._connections.values():
                connection.close()  # what the system does for a killed process
            return None
        with each:
            each.gather(0)
            each.broadcast()

    chief, worker, _ = together(*(lambda each=each: run(each) for each in peers))
    for error in (chief, worker):
        assert isinstance(error, LostWorkerError)
        assert f"Worker 2 ({peers[0].cluster.addresses[2]}) was lost" in str(error)
        assert "start all workers again to go on from the last checkpoint" in str(error)


def test_a_process_that_hangs_is_ended_by_its_watch():
    left = []
    peers = met(2, leave=lambda status, text: left.append((status, text)))
    for connection in peers[1]._connections.values():
        connection.close()
    with contextlib.suppress(LostWorkerError), peers[0] as chief:
        _busy(chief)
    assert [status for status, _ in left] == [1] and "Worker 1" in left[0][1]


def test_a_process_that_gives_no_sign_of_life_counts_as_lost():
    peers = met(2)  # the second is there, and its thread is not
    with pytest.raises(LostWorkerError, match="no sign of life for"):
        with peers[0] as chief:
            chief.gather(0)


def test_beats_are_signs_of_life():
    assert each_of(met(2), lambda each: time.sleep(1.2) or each.broadcast(1).header["value"]) == [1, 1]


@pytest.mark.parametrize(
    "raised, kind, says",
    [
        (UserError("no"), UserError, "Worker 1 .* stopped: no"),
        (SaveError("full"), StoppedWorkerError, "Worker 1 .* stopped: full"),
        (KeyError("bug"), StoppedWorkerError, "Worker 1 .* stopped: 'bug'"),
        (KeyboardInterrupt("Interrupted."), KeyboardInterrupt, "Interrupted."),
        (SystemExit(143), SystemExit, "143"),
        (LostWorkerError("gone"), LostWorkerError, "gone"),
    ],
)
def test_how_one_process_ended_ends_the_others(raised, kind, says):
    def run(each):
        if each.cluster.index == 1:
            raise raised
        each.broadcast(each.gather(0))

    results = each_of(met(3), run)
    for result in (results[0], results[2]):
        assert type(result) is kind
        with pytest.raises(kind, match=says):
            raise result


def test_an_error_of_a_collective_is_explained_by_who_is_gone():
    peers = met(2)
    for connection in peers[1]._connections.values():
        connection.close()
    with pytest.raises(LostWorkerError, match="Worker 1"):
        with peers[0] as chief:
            chief.explain(RuntimeError("Collective ops is aborted"))


def test_an_error_of_a_collective_that_nothing_explains_is_shown_in_short():
    def run(each):
        each.explain(RuntimeError("long\nCollective ops is aborted by: x\nlong"))

    for result in each_of(met(2), run):
        assert isinstance(result, LostWorkerError)
    assert "Collective ops is aborted by: x" in str(each_of(met(2), run)[0])


def test_a_worker_that_is_stopped_while_it_waits_for_the_chief_says_so(monkeypatch):
    peers, stopped = met(3), SystemExit(143)

    def run(each):
        if each.cluster.index == 1:
            monkeypatch.setattr(each._watch.ended, "wait", _raises(stopped))  # as a signal does in the main thread
        elif each.is_chief:
            time.sleep(0.3)
            each.gather(0)

    chief, worker, _ = each_of(peers, run)
    assert worker is stopped and isinstance(chief, SystemExit) and chief.code == 143


def _raises(error):
    def wait(*arguments):
        raise error

    return wait


def test_who_measures_notices_that_another_process_was_stopped():
    class Long:
        """Batches without an end."""

        def accuracies(self, *arguments, before_each, **others):
            while True:
                before_each()
                time.sleep(0.01)

    def run(each):
        if each.cluster.index == 1:
            raise SystemExit(143)
        measure_together(Long(), each, None, 2)

    assert [(type(result), result.code) for result in each_of(met(3), run)] == [(SystemExit, 143)] * 3


def test_memory_that_ran_out_in_one_process_is_said_by_all_whatever_the_collectives_of_others_raise():
    peers = met(3)

    def run(each):
        oom, place = "OOM when allocating tensor with shape[9] and type float", each.cluster.index
        with explained(each):
            if place == 1:
                raise tf.errors.ResourceExhaustedError(None, None, oom)
            kind = tf.errors.ResourceExhaustedError if each.is_chief else tf.errors.InternalError
            raise kind(None, None, f"Collective ops is aborted by: {oom}")

    said = "Memory ran out while training (OOM when allocating tensor with shape[9] and type float): lower"
    results = each_of(peers, run)
    assert [type(result) for result in results] == [UserError] * 3
    assert str(results[1]).startswith(said)
    for result in (results[0], results[2]):
        assert str(result).startswith(f"Worker 1 ({peers[0].cluster.addresses[1]}) stopped: {said}")


def test_workers_wait_for_the_chief_to_finish():
    ended = []

    def run(each):
        if each.is_chief:
            time.sleep(0.6)
        ended.append(each.cluster.index)

    peers = met(2)

    def whole(each):
        with each:
            run(each)
        ended.append(("out", each.cluster.index))

    assert together(*(lambda each=each: whole(each) for each in peers)) == [None, None]
    assert ended[:2] == [1, 0] and {("out", 0), ("out", 1)} == set(ended[2:])


@pytest.mark.parametrize(
    "raised, kind, says",
    [
        (UserError("no"), UserError, "Worker 0 .* stopped: no"),
        (SaveError("full"), StoppedWorkerError, "Worker 0 .* stopped: full"),
        (KeyboardInterrupt("Interrupted."), KeyboardInterrupt, "Interrupted."),
        (SystemExit(143), SystemExit, "143"),
    ],
)
def test_what_the_chief_raises_after_its_last_words_ends_the_workers_too(raised, kind, says):
    def run(each):
        each.broadcast(1)
        if each.is_chief:
            time.sleep(0.3)  # the others are done
            raise raised

    chief, *workers = each_of(met(3), run)
    assert chief is raised
    for result in workers:
        assert type(result) is kind
        with pytest.raises(kind, match=says):
            raise result
