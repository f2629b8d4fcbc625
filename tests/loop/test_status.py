"""What `segmenter status` says of a system that runs, is stuck, or lacks a part."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import sqlalchemy

from consumers import sink, worker
from segmenter import warehouse
from segmenter.embedded import private_stack
from segmenter.events import Event, encode, key_of
from segmenter.operations.status import Window, read_status
from segmenter.settings import Settings
from segmenter.settings.urls import masked
from segmenter.store.connection import clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.shards import heartbeat, read_shards
from segmenter.topics import ensure_topics, open_producer, store_reached_ms, warehouse_reached_ms
from segmenter.warehouse.engine import writing
from tests.loop.helpers import START_MS, publish, publish_raw, set_clock_ahead, users_of
from tests.recovery.own_redis import OwnRedis

HOUR_MS = 3_600_000
Until = Callable[[Callable[[], object]], None]
EVENTS = [Event(f"u{number % 50}", START_MS, event_id=f"e{number}") for number in range(500)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def variables(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the addresses of these settings."""
    named = ("kafka", "redis_url", "warehouse_url")
    return {**environment, **{f"SEGMENTER_{name.upper()}": getattr(settings, name) for name in named}}


def said(environment: Mapping[str, str], *options: str) -> tuple[int, str]:
    """The exit code and the output of `segmenter status`."""
    line = [sys.executable, "-m", "segmenter", "status", *options]
    done = subprocess.run(line, env=dict(environment), capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


@contextlib.contextmanager
def running(verb: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A worker or sink as a process."""
    line = [sys.executable, "-m", "segmenter", verb]
    process = subprocess.Popen(line, env=dict(environment), stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fresh(settings: Settings) -> bool:
    """Whether a worker has said of each shard that it is at the end of the log."""
    shards = read_status(settings).shards
    return len(shards) == settings.partitions and all(shard.age_ms is not None for shard in shards)


def log_seen_ms(settings: Settings) -> int:
    """When Kafka last answered a worker where the log ends."""
    with contextlib.closing(connect(settings)) as client:
        return max(state.log_seen_ms for state in read_shards(client, settings).values())


def of_user(settings: Settings, part: int) -> str:
    return users_of(settings, part)[0]


def test_it_tells_the_time_that_the_window_spans(
    settings: Settings, with_window: Callable[[Settings, int], Settings]
) -> None:
    """The age of the record that is a window before the end, in the partition where that is the least."""
    settings = with_window(settings, 10)
    ensure_topics(settings)
    producer = open_producer(settings)
    begun = now_ms()
    for part, hours in ((0, 5), (1, 3)):
        event = Event(of_user(settings, part), START_MS)
        for age in [9] * 7 + [hours] + [0] * 9:
            producer.send(
                f"{settings.topic_prefix}views",
                key=key_of(event.user_id),
                value=encode(event),
                timestamp_ms=begun - age * HOUR_MS,
            ).get(timeout=30)
    producer.close()
    window = read_status(settings).duplicate_window
    assert window.records == 10
    assert 3 * HOUR_MS <= window.spans_ms <= 3 * HOUR_MS + now_ms() - begun
    wide = read_status(with_window(settings, 17)).duplicate_window
    assert wide == Window(17, None)


def test_each_value_is_that_of_its_shard_and_its_reader(
    settings: Settings, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sink has read less than the worker, and the worker less than there is, in each shard by another number."""
    first, second = of_user(settings, 0), of_user(settings, 1)

    def events(topic: str, of_first: int, of_second: int) -> None:
        users = [first] * of_first + [second] * of_second
        publish(settings, topic, [Event(user, START_MS, event_id=f"e{at}") for at, user in enumerate(users)])

    events("views", 7, 11)
    publish(settings, "views", [Event(first, START_MS, event_id="e0"), Event(second, START_MS, event_id="e7")] * 2)
    publish(settings, "views", [Event(second, START_MS, event_id="e8")])
    broken = [(first, b"click!"), (second, b"click!"), (second, b"[]"), (second, None)]
    publish_raw(settings, "searches", [(user.encode(), value) for user, value in broken])
    sink.run(settings, once=True)
    publish(settings, "clickstream", [Event(user, START_MS) for user in users_of(settings, 1)[1:5]])
    events("clickstream", 5, 2)
    worker.run(settings, once=True, may_refit=False)
    events("searches", 3, 13)
    began = now_ms()
    ages = age_everything(settings)
    code, body = said(environment, "--json")
    took, found = now_ms() - began, json.loads(body)
    assert code == 0
    shards, told = found.pop("shards"), found.pop("sink")
    for where, name, age in ages:
        assert age <= (told if where is None else shards[where]).pop(name) <= age + took + 1, (where, name)
    set_clock_ahead(monkeypatch)
    again = msgspec.to_builtins(read_status(settings))
    for where, name, age in ages:
        later = (again["sink"] if where is None else again["shards"][where])[name]
        assert age <= later < age + HOUR_MS, "ages are by the clocks of the parts"
    assert [shard.pop("problem") for shard in shards] == [None, None] and told == {}
    names = ("shard", "users", "lag", "sink_lag", "generation", "folded", "duplicates", "fenced")
    assert [tuple(shard[name] for name in names) for shard in shards] == [
        (0, 1, 3, 3 + 5, 0, 7 + 5, 2, 0),
        (1, 5, 13, 13 + 2 + 4, 0, 11 + 2 + 4, 3, 2),
    ]
    assert found == {
        "parts": {
            "kafka": settings.kafka,
            "redis": masked(settings.redis_url),
            "warehouse": masked(settings.warehouse_url),
        },
        "unreachable": {},
        "generation": 0,
        "published": 18 + 5 + 4 + 11 + 16,
        "users": 6,
        "folded": 29,
        "duplicates": 5,
        "fenced": 2,
        "dead_letters": {"malformed": 3, "empty": 1},
        "lag": 16,
        "sink_lag": 27,
        "duplicate_window": {"records": 100_000, "spans_ms": None},
        "waiting": {},
    }


def age_everything(settings: Settings) -> list[tuple[int | None, str, int]]:
    """Make each time of shards and sink another, and fence two writes of shard 1; returns where, what, and its age."""
    ages = {"beat": 1_000_000, "": 2_000_000, "commit": 3_000_000}
    fields = {"beat": "beat_ms", "": "caught_up_ms", "commit": "committed_ms"}
    told: list[tuple[int | None, str, int]] = []
    with closing(connect(settings)) as client:
        for shard, state in read_shards(client, settings).items():
            for name, age in ages.items():
                own = age * (shard + 1) + shard
                client.hset(Keys(settings.key_prefix).shard(shard), fields[name], clock_ms(client) - own)
                told.append((shard, f"{name}_age_ms".removeprefix("_"), own))
            for _ in range(2 * shard):
                heartbeat(client, settings, {shard: (state._replace(version=0), None)}, None)
    with warehouse.connect(settings) as database:
        warehouse.send_sink_heartbeat(database, warehouse.clock_ms(database), loaded=True)
        older = "beat_ms = beat_ms - 7000000, caught_up_ms = caught_up_ms - 8000000, loaded_ms = loaded_ms - 9000000"
        with writing(database) as connection:
            connection.execute(sqlalchemy.text(f"UPDATE sink_heartbeat SET {older}"))
    return [*told, (None, "beat_age_ms", 7_000_000), (None, "age_ms", 8_000_000), (None, "loaded_age_ms", 9_000_000)]


def test_a_worker_that_is_stopped_fails_the_check(
    settings: Settings, environment: dict[str, str], until: Until
) -> None:
    """It goes well once the worker is at the end of the log, fails while it is stopped, and goes well again after."""
    publish(settings, "views", EVENTS)
    assert said(environment, "--check", "worker") == (
        1,
        "shard 0 is stuck: no worker has acquired it. Start `segmenter worker`.\n"
        "shard 1 is stuck: no worker has acquired it. Start `segmenter worker`.\n",
    )
    with running("worker", environment) as process:
        until(lambda: read_status(settings).folded == len(EVENTS))
        until(lambda: said(environment, "--check", "worker") == (0, ""))
        process.send_signal(signal.SIGSTOP)
        until(lambda: all(shard.beat_age_ms > 5_000 for shard in read_status(settings).shards))
        code, lines = said(environment, "--check", "worker")
        assert code == 1
        assert lines.startswith("shard 0 is stuck: its worker has been silent for ") and len(lines.splitlines()) == 2
        process.send_signal(signal.SIGCONT)
        until(lambda: said(environment, "--check", "worker") == (0, ""))


NOWHERE = {
    "SEGMENTER_KAFKA": "127.0.0.1:1",
    "SEGMENTER_REDIS_URL": "redis://127.0.0.1:1/0",
    "SEGMENTER_WAREHOUSE_URL": "mysql+pymysql://nobody@127.0.0.1:1/none",
}


def test_each_role_is_checked_by_its_own_part_alone(
    settings: Settings, environment: dict[str, str], until: Until
) -> None:
    """A worker is well though Kafka and the warehouse are away, and a sink though Kafka and Redis are."""
    publish(settings, "views", EVENTS)
    of_worker = environment | {name: NOWHERE[name] for name in ("SEGMENTER_KAFKA", "SEGMENTER_WAREHOUSE_URL")}
    of_sink = environment | {name: NOWHERE[name] for name in ("SEGMENTER_KAFKA", "SEGMENTER_REDIS_URL")}
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)
    assert said(of_sink, "--check", "sink") == (
        1,
        "no sink has loaded into the warehouse. Start `segmenter sink`.\n",
    )
    with running("worker", environment), running("sink", environment) as process:
        until(lambda: said(of_worker, "--check", "worker") == (0, ""))
        until(lambda: said(of_sink, "--check", "sink") == (0, ""))
        until(lambda: said(environment, "--check", "all") == (0, ""))
        code, lines = said(of_sink, "--check", "all")
        assert code == 3 and "Kafka at 127.0.0.1:1" in lines and "Redis at 127.0.0.1:1" in lines
        process.kill()
        process.wait()
        age_sink(settings, 31_000)
        code, lines = said(of_sink, "--check", "sink")
        assert code == 1 and lines.startswith("the sink is stuck: its sink has been silent for ")


def age_sink(settings: Settings, ms: int) -> None:
    """Make the last heartbeat of the sink so much older."""
    with warehouse.connect(settings) as database, writing(database) as connection:
        connection.execute(sqlalchemy.text(f"UPDATE sink_heartbeat SET beat_ms = beat_ms - {ms}, loaded_ms = 0"))


def test_a_sink_that_does_not_get_on_is_stuck(settings: Settings, environment: dict[str, str]) -> None:
    """It is alive, but for a minute it has neither loaded anything nor been at the end of the log."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)
        warehouse.send_sink_heartbeat(database, warehouse.clock_ms(database), loaded=True)
        assert said(environment, "--check", "sink") == (0, "")
        with writing(database) as connection:
            older = "UPDATE sink_heartbeat SET caught_up_ms = caught_up_ms - 61000, loaded_ms = loaded_ms - 62000"
            connection.execute(sqlalchemy.text(older))
        warehouse.send_sink_heartbeat(database)
        code, lines = said(environment, "--check", "sink")
        stuck = re.search(r"has not moved on or been at the end of the log for (\d+) s", lines)
        assert code == 1 and stuck and int(stuck[1]) >= 61


LOADED = """
import sys
from segmenter.cli import run
run(["status", "--check", sys.argv[1]])
print([name for name in ("kafka", "redis", "sqlalchemy", "numpy", "pandas", "river", "scipy") if name in sys.modules])
"""


@pytest.mark.parametrize(("role", "loaded"), [("worker", ["redis"]), ("sink", ["sqlalchemy"])])
def test_a_check_loads_the_client_of_one_part_alone(
    settings: Settings, environment: dict[str, str], role: str, loaded: list[str]
) -> None:
    """Each of the others costs a few tenths of a second of the processor, every few seconds, for ever."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)
    line = [sys.executable, "-c", LOADED, role]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(loaded)


def test_without_kafka_it_tells_the_rest_and_since_when(until: Until) -> None:
    """The broker is stopped under a worker: what Redis and the warehouse know is shown all the same."""
    with private_stack() as stack:
        own = Settings(kafka=stack.kafka, redis_url=stack.redis_url, warehouse_url=stack.warehouse_url, partitions=2)
        publish(own, "views", EVENTS)
        sink.run(own, once=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
        clean = variables(own, clean) | {"SEGMENTER_PARTITIONS": "2"}
        (broker,) = [part for part in psutil.Process(stack.pid).children() if "redis" not in part.name()]
        with running("worker", clean):
            until(lambda: fresh(own))
            well = now_ms()
            until(lambda: log_seen_ms(own) > well)
            broker.suspend()
            stopped = now_ms()
            code, body = said(clean, "--json")
            found = json.loads(body)
            assert (code, list(found["unreachable"])) == (3, ["kafka"])
            assert own.kafka in found["unreachable"]["kafka"]["reason"]
            assert well < found["unreachable"]["kafka"]["since_ms"] <= stopped
            assert (found["folded"], found["lag"], found["sink_lag"], len(found["shards"])) == (500, None, None, 2)
            code, lines = said(clean | {"SEGMENTER_PARTITIONS": "1"})  # the store knows how many shards it has
            assert code == 3 and "kafka is away, last reached at 20" in lines and "500 folded" in lines
            broker.resume()
            until(lambda: said(clean, "--check", "worker") == (0, ""))


def test_without_redis_it_tells_the_rest_and_since_when(
    settings: Settings, parts: str, environment: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """The worker's notes in Kafka say when Redis was last there; the embedded broker keeps no notes."""
    with OwnRedis(tmp_path) as redis:
        own = dataclasses.replace(settings, redis_url=redis.url)
        publish(own, "views", EVENTS)
        sink.run(own, once=True)
        with running("worker", variables(own, environment)):
            until(lambda: fresh(own))
            well = now_ms()
            until(lambda: parts == "embedded" or (store_reached_ms(own) or 0) > well)
            redis.kill()
            killed = now_ms()
            found = read_status(own)
            assert list(found.unreachable) == ["redis"]
            assert_since(parts, well, found.unreachable["redis"].since_ms, killed)
            assert (found.published, found.sink_lag, found.folded, found.shards) == (500, 0, None, [])
            code, lines = said(variables(own, environment))
            assert code == 3 and "redis is away, " in lines and "of 500 records ? folded" in lines
            redis.restart()
            until(lambda: said(variables(own, environment), "--check", "worker") == (0, ""))


def test_without_the_warehouse_it_tells_the_rest_and_since_when(
    settings: Settings, parts: str, environment: dict[str, str], tmp_path: Path, until: Until
) -> None:
    """The sink's notes in Kafka say when the warehouse was last there, also when there was nothing to load."""
    publish(settings, "views", EVENTS)
    worker.run(settings, once=True)
    with Way(settings.warehouse_url, tmp_path) as way:
        own = dataclasses.replace(settings, warehouse_url=way.url)
        with running("sink", variables(own, environment)):
            until(lambda: read_status(own).sink_lag == 0)
            well = now_ms()
            until(lambda: parts == "embedded" or (warehouse_reached_ms(own) or 0) > well)
            way.close()
            closed = now_ms()
            found = read_status(own)
            assert list(found.unreachable) == ["warehouse"]
            assert_since(parts, well, found.unreachable["warehouse"].since_ms, closed)
            assert (found.folded, found.lag, found.sink_lag) == (500, 0, None)


def assert_since(parts: str, well_ms: int, since_ms: int | None, away_ms: int) -> None:
    """Between when it was known to be there and when it was taken away, except for a broker that keeps no notes."""
    assert (since_ms is None) if parts == "embedded" else (since_ms is not None and well_ms < since_ms <= away_ms)


class Way:
    """A way to the warehouse that can be closed: a port that leads to the database server, or a folder of the file."""

    def __init__(self, url: str, folder: Path) -> None:
        there = sqlalchemy.make_url(url)
        self._folder = folder / "way"
        self._server: socket.socket | None = None
        self._open: list[socket.socket] = []
        if there.get_backend_name() == "sqlite":
            self._folder.mkdir()
            self.url = f"sqlite:///{self._folder}/warehouse.db"
            return
        self._to = (str(there.host), int(there.port or 3306))
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        self.url = there.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        """Nobody can connect any more."""
        if self._server is None:
            self._folder.rename(self._folder.with_name("gone"))
            return
        for each in [self._server, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._server is not None:
            self.close()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
