"""A TCP connection between two processes of a cluster, over which they send small messages and arrays.

A frame is four bytes that tell a stranger from one of us, the lengths of its two parts, a JSON object and bytes.
Nothing that is received is executed.
"""

import json
import socket
import struct
import threading
from typing import Any, Dict, List, NamedTuple

_MAGIC = b"HTF1"
_HEAD = struct.Struct(">4sIQ")
_LONGEST_HEADER, _LONGEST_PAYLOAD = 2**26, 2**36
_READ = 2**20


class Frame(NamedTuple):
    """A message.

    Attributes:
      header: JSON-able; 'kind' says what it is.
      payload: bytes that belong to it, may be none.
    """

    header: Dict[str, Any]
    payload: bytes = b""


class NotOurs(Exception):
    """What was received is not from a process of this library."""


class Connection:
    """One end of a connection. One thread reads, any may write.

    Args:
      connected: the socket, in blocking mode.
    """

    def __init__(self, connected: socket.socket):
        self.socket = connected
        self._writing = threading.Lock()
        self._received = bytearray()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, frame: Frame) -> None:
        """Sends a frame, waiting for another thread's and for the network. Raises OSError."""
        with self._writing:
            self._write(frame)

    def send_if_free(self, frame: Frame) -> None:
        """Sends a small frame unless another thread is sending, which shows as much. Raises OSError."""
        if self._writing.acquire(blocking=False):
            try:
                self._write(frame)
            finally:
                self._writing.release()

    def receive(self, seconds: float) -> Frame:
        """Waits for the next frame. Raises OSError (also when it takes longer, or the connection closed) or NotOurs."""
        self.socket.settimeout(seconds)
        try:
            while True:
                frames = self.parse(most=1)
                if frames:
                    return frames[0]
                self._read()
        finally:
            self.socket.settimeout(None)

    def read(self) -> List[Frame]:
        """What arrived, when the socket is ready to be read. Raises OSError (also where it closed) or NotOurs."""
        self._read()
        return self.parse()

    def close(self) -> None:
        """May be called twice; a thread that waits for the socket sees its end."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other end closed it
            pass
        self.socket.close()

    def _write(self, frame: Frame) -> None:
        header = json.dumps(frame.header).encode()
        self.socket.sendall(_HEAD.pack(_MAGIC, len(header), len(frame.payload)) + header)
        if frame.payload:
            self.socket.sendall(frame.payload)

    def _read(self) -> None:
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("its connection closed")
        self._received += data

    def parse(self, most: int = 2**30) -> List[Frame]:
        """Frames that were received in whole and not given yet, `most` of them. Raises NotOurs."""
        frames: List[Frame] = []
        received = self._received
        while len(frames) < most and received:
            if received[:4] != _MAGIC[: len(received)]:
                raise NotOurs("another kind of program")
            if len(received) < _HEAD.size:
                break
            _, header, payload = _HEAD.unpack_from(received)
            if header > _LONGEST_HEADER or payload > _LONGEST_PAYLOAD:
                raise NotOurs("a message too long")
            end = _HEAD.size + header + payload
            if len(received) < end:
                break
            try:
                value = json.loads(bytes(received[_HEAD.size : _HEAD.size + header]))
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise NotOurs("a message that is no object")
            frames.append(Frame(value, bytes(received[_HEAD.size + header : end])))
            del received[:end]
        return frames
