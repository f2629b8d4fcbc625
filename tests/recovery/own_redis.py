"""A Redis of a test's own, that can be made to forget.

kill -9 alone loses nothing: what Redis has written is in the kernel. To lose confirmed writes, as when a machine goes
down, cut the append-only file or put an older copy of it back while Redis is dead, and restart it on the same port.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from segmenter.embedded import supervisor
from segmenter.embedded.stack import _redis_binary

START_SECONDS = 30.0
TAKEOVER = rb"\*\d+\r\n\$4\r\nHSET\r\n\$\d+\r\n[^\r]+\r\n\$5\r\ntoken\r\n"
COMMIT = re.compile(rb"\$5\r\nbegun\r\n\$1\r\n1\r\n(?!" + TAKEOVER + rb")")
"""What the append-only file holds near the beginning of each commit."""


class OwnRedis:
    """A redis-server on a port of its own that keeps its data in ``folder``; it ends with the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._aof = self._data / "appendonlydir"
        self._copy = folder / "copy"
        (self._port,) = supervisor.free_ports(1)
        self._password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address; it stays the same across restarts."""
        return f"redis://default:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> OwnRedis:
        """Start it on what ``folder`` holds, and wait until it has loaded that."""
        self._data.mkdir(parents=True, exist_ok=True)
        config = {
            "bind": "127.0.0.1",
            "port": self._port,
            "requirepass": self._password,
            "dir": f'"{self._data}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "yes",
            "aof-load-truncated": "yes",
            "auto-aof-rewrite-percentage": "0",
            "maxmemory-policy": "noeviction",
            "save": '""',
        }
        file = self._folder / "redis.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in config.items()), "utf-8")
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([_redis_binary(), str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not supervisor.accepts(self._port, self._password):
            assert self._process.poll() is None and time.monotonic() < deadline, self.log()
            threading.Event().wait(0.02)
        return self

    def kill(self) -> None:
        """SIGKILL: all that it has written stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again after a `kill`, on the same port, with what the files hold now."""
        assert self._process is None, "kill it first"
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and get no answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def copy(self) -> None:
        """Keep a copy of its files as they are now, whether it runs or not; a later one replaces it."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._aof, self._copy)

    def put_back(self) -> None:
        """Put the files back as they were at the last `copy`; it must be dead."""
        assert self._process is None, "kill it first"
        shutil.rmtree(self._aof)
        shutil.copytree(self._copy, self._aof)

    def cut_tail(self, rng: random.Random, kb: int) -> int:
        """Cut the append-only file at a random byte of its last ``kb`` kB; it must be dead. Returns the bytes cut."""
        size = self._tail().stat().st_size
        return self._cut_at(rng.randint(max(0, size - kb * 1024), size - 1))

    def cut_commits(self, rng: random.Random, most: int) -> int:
        """As `cut_tail`, but at a byte within the last ``most`` commits, so that at least one is lost."""
        content = self._tail().read_bytes()
        begins = [found.end() for found in COMMIT.finditer(content)][-most:]
        return self._cut_at(rng.randint(begins[0], begins[-1]))

    def cut_after(self, text: bytes) -> int:
        """As `cut_tail`, but after the last place with this text: within the command that holds it."""
        return self._cut_at(self._tail().read_bytes().rindex(text) + len(text))

    def twin(self, folder: Path) -> OwnRedis:
        """Another Redis, yet to be started, that holds in ``folder`` what the files of this one hold now."""
        other = OwnRedis(folder)
        shutil.copytree(self._aof, other._aof)
        return other

    def _tail(self) -> Path:
        (tail,) = self._aof.glob("*.incr.aof")
        return tail

    def _cut_at(self, byte: int) -> int:
        assert self._process is None, "kill it first"
        tail = self._tail()
        cut = tail.stat().st_size - byte
        os.truncate(tail, byte)
        return cut

    def log(self) -> str:
        """What it has printed."""
        return (self._folder / "redis.log").read_text("utf-8", errors="replace")

    def __enter__(self) -> OwnRedis:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
