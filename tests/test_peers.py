"""Processes of a cluster, here threads with a connection each: they meet, agree, and notice who is gone."""

import contextlib
import logging
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from small_clusters import free_ports

from hypertransformer_tf.errors import LostWorkerError, SaveError, StoppedWorkerError, UserError
from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.training import rendezvous
from hypertransformer_tf.training.cluster import Cluster
from hypertransformer_tf.training.frames import Connection, Frame, NotOurs
from hypertransformer_tf.training.interruption import Interruption, ended_by_sigterm
from hypertransformer_tf.training.joining import refusal, share_checkpoint
from hypertransformer_tf.training.peer_watch import Timing
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.rendezvous import meet_chief, meet_workers
from hypertransformer_tf.training.shared_evaluation import measure_together
from hypertransformer_tf.training.strategy import explained

FAST = Timing(beat=0.05, silence=0.5, grace=0.3)
DATA = {
    "name": "glyphs",
    "image_shape": [28, 28, 1],
    "classes": {"train": ["a"]},
    "counts": {"train": [2]},
    "sha256": "1",
}
GREETING = {
    "addresses": ["a:1", "b:2"],
    "versions": {"tensorflow": "2.21"},
    "configuration": {"training": {"steps": 5, "seed": 0}, "data": {"data_dir": None}},
    "data": DATA,
}


def _together(*functions):
    """What functions return, or raise, that run at the same time."""
    results = [None] * len(functions)

    def run(index):
        try:
            results[index] = functions[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "it hangs"
    return results


def _met(count, leave=None, timing=FAST):
    """Peers of a cluster, by index."""
    ports = free_ports(count)
    clusters = [Cluster(tuple(f"127.0.0.1:{port}" for port in ports), index) for index in range(count)]
    chief = lambda: meet_workers(clusters[0], lambda greeting: None, 10, logging.warning)  # noqa: E731
    workers = [lambda each=each: {0: meet_chief(each, {}, 10, logging.warning)} for each in clusters[1:]]
    connections = _together(chief, *workers)
    return [Peers(each, met, leave or (lambda *end: None), timing) for each, met in zip(clusters, connections)]


def _each(peers, function):
    """Results of a function of every process's peers, within `with`."""

    def run(each):
        with each:
            return function(each)

    return _together(*(lambda each=each: run(each) for each in peers))


# --- meeting ----------------------------------------------------------------------------------------------------------


def test_all_meet_in_whatever_order_they_come():
    ports = free_ports(3)
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)

    def chief():
        time.sleep(0.3)
        return meet_workers(Cluster(addresses, 0), lambda greeting: None, 10, logging.warning)

    met, *_ = _together(chief, *(lambda i=i: meet_chief(Cluster(addresses, i), {}, 10, print) for i in (2, 1)))
    assert sorted(met) == [1, 2]


def test_the_chiefs_port_is_free_again_for_tensorflow_while_the_connections_stay():
    peers = _met(2)
    port = int(peers[0].cluster.addresses[0].rpartition(":")[2])
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        assert _each(peers, lambda each: each.broadcast("x").header["value"]) == ["x", "x"]


def test_a_worker_that_is_refused_is_told_why_and_so_are_chief_and_others():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    no = lambda greeting: "its colour differs." if greeting["colour"] == "red" else None  # noqa: E731

    def worker(index, colour, pause):
        time.sleep(pause)
        return meet_chief(Cluster(addresses, index), {"colour": colour}, 10, logging.warning)

    results = _together(
        lambda: meet_workers(Cluster(addresses, 0), no, 10, logging.warning),
        lambda: worker(1, "blue", 0),
        lambda: worker(2, "red", 0.5),
    )
    for result in results:
        assert isinstance(result, UserError)
        assert str(result) == f"The worker 2 ({addresses[2]}) cannot take part: its colour differs."


@pytest.mark.parametrize(
    "raised, kind, says", [(SystemExit(143), SystemExit, "143"), (KeyboardInterrupt(), KeyboardInterrupt, "any longer")]
)
def test_a_chief_that_is_asked_to_stop_while_it_waits_ends_those_who_have_come(monkeypatch, raised, kind, says):
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(3))  # the third does not come
    look = rendezvous._absent

    def stopped(cluster, met):
        if met:
            raise raised
        return look(cluster, met)

    monkeypatch.setattr(rendezvous, "_absent", stopped)
    chief, worker = _together(
        lambda: meet_workers(Cluster(addresses, 0), lambda greeting: None, 10, logging.warning),
        lambda: meet_chief(Cluster(addresses, 1), {}, 10, logging.warning),
    )
    assert chief is raised
    with pytest.raises(kind, match=says):
        raise worker


def test_strangers_at_the_port_are_sent_away():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))

    def stranger():
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", int(addresses[0].rpartition(":")[2]))) as other:
            other.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return other.recv(100)

    def worker():
        time.sleep(0.6)
        return meet_chief(Cluster(addresses, 1), {}, 10, logging.warning)

    results = _together(
        lambda: meet_workers(Cluster(addresses, 0), lambda greeting: None, 10, logging.warning), stranger, worker
    )
    assert list(results[0]) == [1] and isinstance(results[2], Connection)


def test_who_does_not_come_is_waited_for_and_then_named():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    said = []
    for call in (
        lambda: meet_workers(Cluster(addresses, 0), lambda greeting: None, 0.6, said.append),
        lambda: meet_chief(Cluster(addresses, 1), {}, 0.6, said.append),
    ):
        with pytest.raises(LostWorkerError, match="did not come within 1 s"):
            call()
    assert said == [f"Waiting for worker 1 ({addresses[1]}).", f"Waiting for worker 0 ({addresses[0]})."]


def test_a_port_that_another_program_uses_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UserError, match="cannot be used"):
            meet_workers(Cluster((address, "127.0.0.1:1"), 0), lambda greeting: None, 5, logging.warning)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({}, None),
        ({"configuration": {"training": {"steps": 5, "seed": 1}}}, r"training.seed: 0 -> 1"),
        ({"configuration": {"training": {"steps": 6, "seed": 0}}}, r"training.steps: 5 -> 6"),
        ({"configuration": {**GREETING["configuration"], "data": {"data_dir": "/elsewhere"}}}, None),
        ({"data": {**DATA, "counts": {"train": [3]}}}, r"class 'a' had 2 images and has 3"),
        ({"versions": {"tensorflow": "2.15"}}, r"other versions"),
        ({"addresses": ["a:1", "c:2"]}, r"another cluster"),
    ],
)
def test_a_worker_that_would_do_something_else_is_refused(changes, says):
    said = refusal(GREETING, {**GREETING, **changes})
    assert (said is None) if says is None else (says in said and "\n" not in said), said


# --- agreeing ---------------------------------------------------------------------------------------------------------


def test_what_the_chief_says_all_hear_and_what_all_say_the_chief_hears():
    def talk(each):
        heard = each.broadcast({"x": each.cluster.index}, b"12" * 10**6)
        return heard.header["value"], len(heard.payload), each.gather(10 * each.cluster.index)

    assert _each(_met(3), talk) == [
        ({"x": 0}, 2 * 10**6, [0, 10, 20]),
        ({"x": 0}, 2 * 10**6, []),
        ({"x": 0}, 2 * 10**6, []),
    ]


def test_all_stop_at_the_same_step_when_one_was_interrupted():
    def train(each):
        interruption = Interruption(each, every=5)
        for step in range(1, 100):
            if each.cluster.index == 1 and step == 7:
                interruption.received = 15
            if interruption.due(step):
                try:
                    interruption.raise_if_received("text")
                except SystemExit as stop:
                    return step, stop.code

    assert _each(_met(3), train) == [(10, 143)] * 3


def test_a_signal_that_came_too_late_to_be_asked_about_acts_at_the_end():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with Interruption() as interruption:
            assert not interruption.due(1, last=True)
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.received == signal.SIGTERM and not came
        assert came == [signal.SIGTERM]
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.due(1)
        assert came == [signal.SIGTERM]  # whoever asked knows
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_the_block_once_and_its_handler_is_given_back():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        ours = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught, ended_by_sigterm():
            with Interruption():
                pass
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.code == 143 and not came
        assert signal.getsignal(signal.SIGTERM) is ours
        assert _together(lambda: _within(ended_by_sigterm())) == [ours]  # only the main thread may handle signals
    finally:
        signal.signal(signal.SIGTERM, before)


def _within(context):
    with context:
        return signal.getsignal(signal.SIGTERM)


def test_alone_a_process_answers_itself():
    with Peers.alone() as alone:
        assert alone.is_chief and not alone.are_there
        assert alone.gather(3) == [3] and alone.broadcast(4).header["value"] == 4
        assert alone.agree_to_stop(None) is None and alone.agree_to_stop(15) == 15
        with pytest.raises(ZeroDivisionError):
            alone.explain(ZeroDivisionError())


def test_a_checkpoint_reaches_all_bit_for_bit(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, np.int64)}
    checkpoint = Checkpoint(tmp_path / "checkpoint", 12, arrays, {"best_validation": 0.1 + 0.2})
    shared = _each(_met(2), lambda each: share_checkpoint(each, checkpoint if each.is_chief else None))
    for each in shared:
        assert (each.step, each.metadata) == (12, {"best_validation": 0.1 + 0.2})
        assert all(each.arrays[name].tobytes() == arrays[name].tobytes() for name in arrays)
        assert each.arrays["b"].shape == () and each.arrays["a"].shape == (2, 3)
    assert _each(_met(2), lambda each: share_checkpoint(each, None)) == [None, None]


@pytest.mark.parametrize("episodes", [2, 7, 9])
def test_an_accuracy_measured_together_is_the_one_measured_alone(episodes):
    class Halves:
        """Batches of two episodes, whose accuracies are their numbers over 10."""

        def accuracies(self, sampler, episodes, query_batches, part=0, parts=1, before_each=None):
            return [[2 * n / 10, (2 * n + 1) / 10] for n in range(part, -(-episodes // 2), parts)]

    alone = measure_together(Halves(), Peers.alone(), None, episodes)
    assert alone.mean == pytest.approx(np.mean(np.arange(episodes) / 10)) and alone.episodes == episodes
    assert _each(_met(3), lambda each: measure_together(Halves(), each, None, episodes)) == [alone] * 3


# --- losing -----------------------------------------------------------------------------------------------------------


def _busy(each):
    """What a process in a collective does: nothing that could be interrupted."""
    time.sleep(1.5)


def test_a_killed_process_is_noticed_by_those_that_wait_for_it():
    peers = _met(3)

    def run(each):
        if each.cluster.index == 2:
            for connection in each._connections.values():
                connection.close()  # what the system does for a killed process
            return None
        with each:
            each.gather(0)
            each.broadcast()

    chief, worker, _ = _together(*(lambda each=each: run(each) for each in peers))
    for error in (chief, worker):
        assert isinstance(error, LostWorkerError)
        assert f"Worker 2 ({peers[0].cluster.addresses[2]}) was lost" in str(error)
        assert "start all workers again to go on from the last checkpoint" in str(error)


def test_a_process_that_hangs_is_ended_by_its_watch():
    left = []
    peers = _met(2, leave=lambda status, text: left.append((status, text)))
    for connection in peers[1]._connections.values():
        connection.close()
    with contextlib.suppress(LostWorkerError), peers[0] as chief:
        _busy(chief)
    assert [status for status, _ in left] == [1] and "Worker 1" in left[0][1]


def test_a_process_that_gives_no_sign_of_life_counts_as_lost():
    peers = _met(2)  # the second is there, and its thread is not
    with pytest.raises(LostWorkerError, match="no sign of life for"):
        with peers[0] as chief:
            chief.gather(0)


def test_beats_are_signs_of_life():
    assert _each(_met(2), lambda each: time.sleep(1.2) or each.broadcast(1).header["value"]) == [1, 1]


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

    results = _each(_met(3), run)
    for result in (results[0], results[2]):
        assert type(result) is kind
        with pytest.raises(kind, match=says):
            raise result


def test_an_error_of_a_collective_is_explained_by_who_is_gone():
    peers = _met(2)
    for connection in peers[1]._connections.values():
        connection.close()
    with pytest.raises(LostWorkerError, match="Worker 1"):
        with peers[0] as chief:
            chief.explain(RuntimeError("Collective ops is aborted"))


def test_an_error_of_a_collective_that_nothing_explains_is_shown_in_short():
    def run(each):
        each.explain(RuntimeError("long\nCollective ops is aborted by: x\nlong"))

    for result in _each(_met(2), run):
        assert isinstance(result, LostWorkerError)
    assert "Collective ops is aborted by: x" in str(_each(_met(2), run)[0])


def test_a_worker_that_is_stopped_while_it_waits_for_the_chief_says_so(monkeypatch):
    peers, stopped = _met(3), SystemExit(143)

    def run(each):
        if each.cluster.index == 1:
            monkeypatch.setattr(each._watch.ended, "wait", _raises(stopped))  # as a signal does in the main thread
        elif each.is_chief:
            time.sleep(0.3)
            each.gather(0)

    chief, worker, _ = _each(peers, run)
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

    assert [(type(result), result.code) for result in _each(_met(3), run)] == [(SystemExit, 143)] * 3


def test_memory_that_ran_out_in_one_process_is_said_by_all_whatever_the_collectives_of_others_raise():
    peers = _met(3)

    def run(each):
        oom, place = "OOM when allocating tensor with shape[9] and type float", each.cluster.index
        with explained(each):
            if place == 1:
                raise tf.errors.ResourceExhaustedError(None, None, oom)
            kind = tf.errors.ResourceExhaustedError if each.is_chief else tf.errors.InternalError
            raise kind(None, None, f"Collective ops is aborted by: {oom}")

    said = "Memory ran out while training (OOM when allocating tensor with shape[9] and type float): lower"
    results = _each(peers, run)
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

    peers = _met(2)

    def whole(each):
        with each:
            run(each)
        ended.append(("out", each.cluster.index))

    assert _together(*(lambda each=each: whole(each) for each in peers)) == [None, None]
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

    chief, *workers = _each(_met(3), run)
    assert chief is raised
    for result in workers:
        assert type(result) is kind
        with pytest.raises(kind, match=says):
            raise result


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_frames_come_as_they_were_sent(size):
    sender, receiver = _tcp_pair()
    frame = Frame({"kind": "data", "value": [1.5, "ü"]}, bytes(size))
    thread = threading.Thread(target=lambda: [sender.send(frame), sender.send(Frame({"kind": "beat"}))])
    thread.start()
    assert receiver.receive(10) == frame and receiver.receive(10) == Frame({"kind": "beat"})
    thread.join()


@pytest.mark.parametrize("sent", [b"GET / HTTP", b"HTF1" + b"\xff" * 12, b"HTF1\0\0\0\x02" + b"\0" * 8 + b"[]"])
def test_what_is_no_frame_is_not_taken(sent):
    sender, receiver = _tcp_pair()
    sender.socket.sendall(sent)
    with pytest.raises(NotOurs):
        receiver.receive(10)


def _tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return Connection(one), Connection(server.accept()[0])
