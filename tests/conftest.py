"""The parts the tests run on: embedded ones always, and real ones where they are given.

With ``SEGMENTER_TEST_REAL=1`` every test that uses `settings` runs a second time, on Apache Kafka, Redis and a database
server, named by ``SEGMENTER_TEST_KAFKA``, ``SEGMENTER_TEST_REDIS_URL`` and ``SEGMENTER_TEST_WAREHOUSE_URL``; a skip is
then a failure. The summary says how many tests ran on which parts, and which recorded files were not there.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy

from segmenter import warehouse
from segmenter.embedded import private_stack
from segmenter.kinds import Kind
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.warehouse import Warehouse
from tests.producers import recorded_files
from tests.recovery.own_redis import OwnRedis

hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

REAL = os.environ.get("SEGMENTER_TEST_REAL") == "1"
PARTS = ["embedded", "real"] if REAL else ["embedded"]
PATIENCE = 120.0  # seconds


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, that can be made to forget."""
    with OwnRedis(tmp_path / "redis") as own:
        yield own


@pytest.fixture(scope="session")
def embedded_parts() -> Iterator[Settings]:
    """A broker and a Redis of our own, shared by the whole run."""
    with private_stack() as stack:
        yield Settings(kafka=stack.kafka, redis_url=stack.redis_url, warehouse_url=stack.warehouse_url)


@pytest.fixture(params=PARTS)
def parts(request: pytest.FixtureRequest) -> str:
    """``embedded`` or ``real``."""
    return str(request.param)


@pytest.fixture
def warehouse_url(parts: str, tmp_path: Path) -> Iterator[str]:
    """An empty warehouse."""
    if parts == "embedded":
        yield f"sqlite:///{tmp_path}/warehouse.db"
        return
    server = sqlalchemy.make_url(os.environ["SEGMENTER_TEST_WAREHOUSE_URL"])
    name = f"segmenter_test_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.fixture
def settings(parts: str, warehouse_url: str, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of running parts on which nothing has been written under our names."""
    name = f"t{uuid.uuid4().hex[:12]}"
    if parts == "embedded":
        own: Settings = request.getfixturevalue("embedded_parts")
        addresses = {"kafka": own.kafka, "redis_url": own.redis_url}
    else:
        addresses = {
            "kafka": os.environ["SEGMENTER_TEST_KAFKA"],
            "redis_url": os.environ["SEGMENTER_TEST_REDIS_URL"],
        }
    made = Settings(
        **addresses, warehouse_url=warehouse_url, key_prefix=name, topic_prefix=f"{name}.", group=name, partitions=2
    )
    with ExitStack() as at_end:
        at_end.callback(_remove_keys, made)
        yield made


@pytest.fixture(scope="session")
def give_schema() -> Iterator[Callable[[Warehouse], Warehouse]]:
    """Gives an empty warehouse its schema. SQLite gets a copy: to migrate takes longer than most of the tests."""
    made: dict[tuple[Kind, ...], sqlite3.Connection] = {}
    with ExitStack() as at_end:

        def give(database: Warehouse) -> Warehouse:
            url, kinds = database.engine.url, database.kinds
            if url.get_backend_name() != "sqlite":
                warehouse.migrate(database, now_ms=1)
                return database
            with closing(sqlite3.connect(str(url.database))) as own:
                if kinds not in made:
                    warehouse.migrate(database, now_ms=1)
                    made[kinds] = at_end.enter_context(closing(sqlite3.connect(":memory:")))
                    own.backup(made[kinds])
                made[kinds].backup(own)
            return database

        yield give


@pytest.fixture
def database(settings: Settings, give_schema: Callable[[Warehouse], Warehouse]) -> Iterator[Warehouse]:
    """A warehouse with the schema, and nothing in it."""
    with warehouse.connect(settings) as database:
        yield give_schema(database)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds; fail after two minutes. To look takes half of the time at most, and soon little."""

    def wait(condition: Callable[[], object]) -> None:
        began = looks = time.monotonic()
        while not condition():
            now = time.monotonic()
            waited = now - began
            assert waited < PATIENCE, "waited for two minutes"
            threading.Event().wait(max(0.01, now - looks, min(waited / 20, 0.1)))
            looks = time.monotonic()

    return wait


@pytest.fixture
def turning() -> Callable[[Callable[[], object]], None]:
    """Take a turn, that waits by itself, until one says that it was the last; fail after two minutes."""

    def turn(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "took turns for two minutes"

    return turn


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a command uses `settings`."""
    named = {
        "KAFKA": settings.kafka,
        "REDIS_URL": settings.redis_url,
        "WAREHOUSE_URL": settings.warehouse_url,
        "KEY_PREFIX": settings.key_prefix,
        "TOPIC_PREFIX": settings.topic_prefix,
        "GROUP": settings.group,
        "PARTITIONS": str(settings.partitions),
    }
    return os.environ | {f"SEGMENTER_{name}": value for name, value in named.items()}


def _remove_keys(settings: Settings) -> None:
    client = connect(settings)
    for keys in iter(lambda: client.keys(f"{settings.key_prefix}:*")[:5_000], []):
        client.delete(*keys)
    client.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only real parts can do where they are not given; begin with those that may take longest."""
    items[:] = [item for item in items if REAL or _parts_of(item) != "real"]
    items.sort(key=_may_take, reverse=True)


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of tests, and all that they have imported, each time it looks."""
    gc.collect()
    gc.freeze()


def _may_take(item: pytest.Item) -> float:
    """Seconds, of a test that says so itself; the others take less."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


def _parts_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("parts", "none")) if callspec else "none"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    report.parts = _parts_of(item)
    if REAL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although every part is there: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which parts the tests ran."""
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if getattr(report, "when", "") == "call":
                ran[getattr(report, "parts", "none")] += 1
    names: dict[str, Callable[[], str]] = {"none": lambda: "no parts", "embedded": _embedded, "real": _real}
    terminalreporter.section("parts")
    for parts, name in names.items():
        if ran[parts]:
            terminalreporter.write_line(f"{ran[parts]:5} tests on {name()}")
    if not REAL:
        terminalreporter.write_line("    0 tests on real parts: `make test-real` runs those too")
    if absent := recorded_files.missing():
        terminalreporter.write_line(f"    0 tests on {', '.join(absent)}: not in ../shared/data, and not shipped")


def _embedded() -> str:
    return "embedded parts: Tansu broker, Redis, SQLite"


def _real() -> str:
    with closing(connect(Settings(redis_url=os.environ["SEGMENTER_TEST_REDIS_URL"]))) as client:
        redis_version = client.info("server")["redis_version"]
    engine = sqlalchemy.create_engine(os.environ["SEGMENTER_TEST_WAREHOUSE_URL"])
    with engine.connect() as connection:
        database = connection.execute(sqlalchemy.text("SELECT VERSION()")).scalar_one()
    engine.dispose()
    kafka = os.environ.get("SEGMENTER_TEST_KAFKA_VERSION", "")
    return f"real parts: Apache Kafka {kafka}, Redis {redis_version}, {database}"
