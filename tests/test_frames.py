"""What goes over the connections between processes."""

import socket
import threading

import pytest

from hypertransformer_tf.training.frames import Connection, Frame, NotOurs


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
