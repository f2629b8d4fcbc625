"""The parts under the chaos: a Redis that can be made to forget, and a broker and a database that can be struck."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import sqlalchemy

from segmenter.embedded import supervisor
from segmenter.embedded.stack import _broker_binary
from segmenter.kinds import BUILT_IN, pick
from segmenter.settings import Settings
from tests.recovery.own_redis import OwnRedis

PARTITIONS = 4
REAL_PARTS = Path(__file__).parents[2] / ".ci" / "real-parts"
Which = Literal["embedded", "real"]


class Part(Protocol):
    """A broker or a database."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def revive(self) -> None: ...


class Parts(NamedTuple):
    """What a run is built on. The embedded broker forgets all when it is killed, and SQLite is not a process."""

    which: Which
    settings: Settings
    redis: OwnRedis
    broker: Part
    database: Part


class EmbeddedBroker:
    """A Tansu process; it can be stopped, and goes on."""

    def __init__(self, part: supervisor.Part) -> None:
        self._process = part.process

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        raise NotImplementedError("its log is in memory")

    revive = kill


class RealPart:
    """One of the processes that `.ci/real-parts` has started in the folder SEGMENTER_TEST_PARTS."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pause(self) -> None:
        self._do("pause")

    def resume(self) -> None:
        self._do("resume")

    def kill(self) -> None:
        self._do("kill")

    def revive(self) -> None:
        self._do("revive")

    def _do(self, verb: str) -> None:
        subprocess.run([REAL_PARTS, verb, os.environ["SEGMENTER_TEST_PARTS"], self._name], check=True)


@contextmanager
def running(which: Which, folder: Path) -> Iterator[Parts]:
    """Parts that hold nothing of ours yet, until the block ends."""
    name = f"c{uuid.uuid4().hex[:8]}"
    with (
        OwnRedis(folder / "redis") as redis,
        _broker(which, folder) as (address, broker),
        warehouse(which, folder, name) as warehouse_url,
    ):
        settings = Settings(
            kafka=address,
            redis_url=redis.url,
            warehouse_url=warehouse_url,
            key_prefix=name,
            topic_prefix=f"{name}.",
            group=name,
            partitions=PARTITIONS,
            duplicate_window=5_000,
            commit_rows=100,
            kinds=pick(BUILT_IN),
        )
        yield Parts(which, settings, redis, broker, RealPart("mariadb"))


@contextmanager
def _broker(which: Which, folder: Path) -> Iterator[tuple[str, Part]]:
    if which == "real":
        yield os.environ["SEGMENTER_TEST_KAFKA"], RealPart("kafka")
        return
    (port,) = supervisor.free_ports(1)
    part = supervisor.start_broker(_broker_binary(), port, folder)
    while not supervisor.listens(port):
        time.sleep(0.02)
    try:
        yield f"127.0.0.1:{port}", EmbeddedBroker(part)
    finally:
        part.process.kill()
        part.process.wait()


@contextmanager
def warehouse(which: Which, folder: Path, name: str) -> Iterator[str]:
    """The address of an empty warehouse, until the block ends."""
    if which == "embedded":
        yield f"sqlite:///{folder}/warehouse.db"
        return
    server = sqlalchemy.make_url(os.environ["SEGMENTER_TEST_WAREHOUSE_URL"])
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name}"))
