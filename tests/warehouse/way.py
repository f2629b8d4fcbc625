"""A proxy of the database server that can fall silent at a chosen word, for a while or for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import sqlalchemy


class Way:
    """A port that leads to the server of ``url``, and whose ``url`` is that of the way.

    Connections that are open when it falls silent stay open on both sides. What was sent meanwhile arrives when the
    silence is over, also from who has hung up, or never.
    """

    def __init__(self, url: str) -> None:
        there = sqlalchemy.make_url(url)
        self._to = (str(there.host), int(there.port or 3306))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = there.set(port=self._server.getsockname()[1]).render_as_string(hide_password=False)
        self._open = [self._server]
        self._flows = _set()
        self._words: list[bytes] = []
        self.silent = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self, *at: bytes) -> None:
        """Nothing gets through once these were about to be said, one after the other; ``silent`` is set then."""
        self._words = list(at)

    def speak(self) -> None:
        """All that was held back gets through, and what comes."""
        self._flows.set()

    def speak_to_new_ones(self) -> None:
        """New connections get through; open ones are silent for ever, and neither side notices."""
        self._flows = _set()

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *error: Any) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target, self._flows), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self._words and self._words[0] in data:
                    self._words.pop(0)
                    if not self._words:
                        flows.clear()
                        self.silent.set()
                flows.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
