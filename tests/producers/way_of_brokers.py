"""A way to the brokers on which answers get lost: what was asked is done, and who asked never hears of it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Collection

PRODUCE = 0
"""The number of Kafka's request to append records."""


class LossyWay:
    """A port that leads to the brokers at ``kafka`` and, to the client, is the only broker's own.

    Of the requests to append records, those with a number in ``lose``, from 1, are carried out; in the place of their
    answer, the connection ends.
    """

    def __init__(self, kafka: str, lose: Collection[int]) -> None:
        host, _, port = kafka.partition(",")[0].rpartition(":")
        self._to, self._lose, self._number = (host, int(port)), lose, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        own = self._server.getsockname()[1]
        self.kafka = f"{host}:{own}"
        self._theirs, self._ours = (host.encode() + struct.pack(">i", each) for each in (int(port), own))
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> LossyWay:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        """One request after the other, as brokers answer them: until either side ends, or an answer gets lost."""
        with near, contextlib.suppress(OSError, EOFError), socket.create_connection(self._to) as far:
            while True:
                request = _message(near)
                far.sendall(request)
                answer = _message(far)
                if struct.unpack(">h", request[4:6])[0] == PRODUCE:
                    self._number += 1
                    if self._number in self._lose:
                        self.lost += 1
                        return
                near.sendall(answer.replace(self._theirs, self._ours))


def _message(source: socket.socket) -> bytes:
    """The next message, its length before it."""
    length = _exactly(source, 4)
    return length + _exactly(source, struct.unpack(">i", length)[0])


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
