"""How the processes of a cluster meet, and who is refused; here they are threads."""

import logging
import socket
import time

import pytest
from met_peers import each_of, met, together
from small_clusters import free_ports

from hypertransformer_tf.errors import LostWorkerError, UserError
from hypertransformer_tf.training import rendezvous
from hypertransformer_tf.training.cluster import Cluster
from hypertransformer_tf.training.frames import Connection
from hypertransformer_tf.training.joining import refusal
from hypertransformer_tf.training.rendezvous import meet_chief, meet_workers

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


def test_all_meet_in_whatever_order_they_come():
    ports = free_ports(3)
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)

    def chief():
        time.sleep(0.3)
        return meet_workers(Cluster(addresses, 0), lambda greeting: None, 10, logging.warning)

    met, *_ = together(chief, *(lambda i=i: meet_chief(Cluster(addresses, i), {}, 10, print) for i in (2, 1)))
    assert sorted(met) == [1, 2]


def test_the_chiefs_port_is_free_again_for_tensorflow_while_the_connections_stay():
    peers = met(2)
    port = int(peers[0].cluster.addresses[0].rpartition(":")[2])
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        assert each_of(peers, lambda each: each.broadcast("x").header["value"]) == ["x", "x"]


def test_a_worker_that_is_refused_is_told_why_and_so_are_chief_and_others():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    no = lambda greeting: "its colour differs." if greeting["colour"] == "red" else None  # noqa: E731

    def worker(index, colour, pause):
        time.sleep(pause)
        return meet_chief(Cluster(addresses, index), {"colour": colour}, 10, logging.warning)

    results = together(
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
    chief, worker = together(
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

    results = together(
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
