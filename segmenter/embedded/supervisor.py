"""The process that owns the embedded parts: starts broker and Redis, and makes sure that they end.

Run by `segmenter.embedded` as a script, with nothing but the standard library::

    supervisor.py FOLDER BROKER REDIS [PARENT]

A stack lives as long as ``FOLDER/stack.json``, which is written when both parts answer and removed first when they
are to end. It ends when that file goes, on SIGTERM, or when a part dies; with PARENT, a process id, also when that
process is no longer the parent, and then the folder goes too. If this process is killed, the kernel kills the
parts (Linux; elsewhere they stay, and must be ended by hand).
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

STACK = "stack.json"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
TICK_SECONDS = 0.2


class Part(NamedTuple):
    """One child process. ``log`` is what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Ended(Exception):
    """The stack has to end. The message is the reason if that is a failure, else empty."""


def main() -> None:
    folder, broker, redis = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    parent = int(sys.argv[4]) if len(sys.argv) > 4 else None
    if parent is None:
        if os.fork():
            os._exit(0)
        os.setsid()
    stop: SimpleQueue[None] = SimpleQueue()  # unlike an Event it may be used by a handler while it is waited for
    signal.signal(signal.SIGTERM, lambda *_: stop.put(None))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    failed = False
    try:
        supervise(folder, broker, redis, parent, stop)
    except Ended as reason:
        failed = bool(str(reason))
        if failed:
            print(reason, flush=True)
    finally:
        if parent is not None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


def supervise(folder: Path, broker: str, redis: str, parent: int | None, stop: SimpleQueue[None]) -> None:
    """Start both parts, say so, and watch them until the stack has to end. Always raises Ended."""
    parts: list[Part] = []

    def watch(seconds: float) -> None:
        with suppress(Empty):
            stop.get(timeout=seconds)
            raise Ended("")
        if parent is not None and os.getppid() != parent:
            raise Ended("")
        for part in parts:
            if part.process.poll() is not None:
                raise Ended(f"{part.name} ended with code {part.process.returncode}{last_line(part.log)}")

    stack = folder / STACK
    try:
        kafka_port, redis_port = free_ports(2)
        password = secrets.token_urlsafe(24)
        parts.append(start_broker(broker, kafka_port, folder))
        parts.append(start_redis(redis, redis_port, password, folder))
        deadline = time.monotonic() + START_SECONDS
        while not (listens(kafka_port) and accepts(redis_port, password)):
            if time.monotonic() > deadline:
                raise Ended(f"broker and Redis did not answer within {START_SECONDS:.0f} s")
            watch(0.02)
        write_private(stack, addresses(folder, kafka_port, redis_port, password))
        os.dup2(2, 1)  # the launcher waits for the end of our output
        while stack.exists():
            watch(TICK_SECONDS)
        raise Ended("")
    finally:
        stack.unlink(missing_ok=True)
        end(parts)


def addresses(folder: Path, kafka_port: int, redis_port: int, password: str) -> dict[str, str | int]:
    return {
        "kafka": f"127.0.0.1:{kafka_port}",
        "redis_url": f"redis://default:{password}@127.0.0.1:{redis_port}/0",
        "warehouse_url": f"sqlite:///{folder / 'warehouse.db'}",
        "pid": os.getpid(),
    }


def start_broker(binary: str, port: int, folder: Path) -> Part:
    url = f"tcp://127.0.0.1:{port}"
    options = ["--storage-engine", "memory://tansu/", "--listener-url", url, "--advertised-listener-url", url]
    return start("the broker", [binary, *options], b"", folder / "kafka.log")


def start_redis(binary: str, port: int, password: str, folder: Path) -> Part:
    data = folder / "redis"
    data.mkdir(mode=0o700)
    config = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "dir": f'"{data}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": '""',
    }
    lines = "".join(f"{name} {value}\n" for name, value in config.items())
    return start("Redis", [binary, "-"], lines.encode(), folder / "redis.log")


def start(name: str, command: list[str], given: bytes, log: Path) -> Part:
    """A child that reads ``given`` and dies with this process. It inherits no environment but PATH."""
    supervisor = os.getpid()
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env=environment,
            preexec_fn=lambda: die_with(supervisor),
        )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(given)
    return Part(name, process, log)


def die_with(supervisor: int) -> None:
    """Ask the kernel to kill the calling process when its parent dies (Linux; nothing elsewhere)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def accepts(port: int, password: str) -> bool:
    """Whether our Redis answers there: no other one knows the password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            replies = connection.makefile("rb")
            return replies.readline() + replies.readline() == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False


def write_private(path: Path, content: dict[str, str | int]) -> None:
    """Write JSON that only this user may read, all of it or nothing."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    unfinished.replace(path)


def last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""


def end(parts: list[Part]) -> None:
    """End every part: politely, and by force when that takes too long."""
    for part in parts:
        part.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for part in parts:
        try:
            part.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()


if __name__ == "__main__":
    main()
