"""A database that falls silent, and one that is slow. On a database server: SQLite is not a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from segmenter.warehouse.dialects import ANSWER_SECONDS, IDLE_SECONDS
from segmenter.warehouse.engine import SUMMARY_SECONDS, reading
from tests.defaults import TOPICS
from tests.warehouse.test_sink import held, publish
from tests.warehouse.way import Way
from tests.warehouse.world import batch_rows

Until = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.parametrize("parts", ["real"], indirect=True)


@pytest.fixture
def way(settings: Settings) -> Iterator[Way]:
    """A way to the warehouse."""
    publish(settings)
    with Way(settings.warehouse_url) as opened:
        yield opened


class Sink:
    """A sink as a process of its own, and what it logs."""

    def __init__(self, way: Way, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "segmenter", "sink"],
                env=environment | {"SEGMENTER_WAREHOUSE_URL": way.url},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def complaints(self) -> list[dict[str, Any]]:
        """The reasons why it is waiting."""
        lines = [json.loads(line) for line in self._log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [line["reason"] for line in lines if line["event"] == "trying again"]


@pytest.fixture
def sink(way: Way, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Sink]]:
    """Starts a sink; it is killed in the end."""
    started: list[Sink] = []

    def start() -> Sink:
        started.append(Sink(way, environment, tmp_path / "log"))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


INSERT = b"INSERT INTO raw_"


@pytest.mark.parametrize("said", [(INSERT,), (INSERT, b"COMMIT")])
@pytest.mark.parametrize("end", [Way.speak, Way.speak_to_new_ones])
def test_a_sink_whose_database_falls_silent(
    end: Callable[[Way], None],
    said: tuple[bytes, ...],
    settings: Settings,
    way: Way,
    sink: Callable[[], Sink],
    until: Until,
) -> None:
    """In the middle of a transaction: it says so and goes on by itself, each event once, whatever still arrives.

    Where what was open is silent for ever, the server does not keep the rows of that transaction for long either.
    """
    way.fall_silent(*said)
    running = sink()
    assert way.silent.wait(60)
    until(running.complaints)
    assert all("the warehouse at mysql+pymysql://" in reason for reason in running.complaints())
    end(way)
    until(lambda: held(settings) == dict.fromkeys(TOPICS, 60))
    publish(settings)
    until(lambda: loaded(settings) == 2 * 3 * 64)
    assert running.process.poll() is None


def loaded(settings: Settings) -> int:
    with warehouse.connect(settings) as database:
        return sum(at.next_pos for at in warehouse.loaded(database).values())


def test_sigterm_ends_a_sink_whose_database_is_silent(way: Way, sink: Callable[[], Sink], until: Until) -> None:
    """In 5 seconds."""
    way.fall_silent(INSERT, b"COMMIT")
    running = sink()
    assert way.silent.wait(60)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=5) in (0, 128 + signal.SIGTERM)


def test_a_summary_may_take_longer_than_a_sink_waits(database: Warehouse) -> None:
    """Of millions of rows it takes minutes; here, another transaction keeps the database from answering."""
    locked = threading.Event()
    seconds = ANSWER_SECONDS + 2

    def keep_busy() -> None:
        with reading(database, seconds=2 * seconds) as connection:
            connection.execute(text("LOCK TABLES raw_views WRITE"))
            locked.set()
            connection.execute(text(f"SELECT SLEEP({seconds})"))
            connection.execute(text("UNLOCK TABLES"))

    busy = threading.Thread(target=keep_busy)
    busy.start()
    assert locked.wait(60)
    assert batch_rows(database, 1, 10) == {}
    busy.join()


def test_who_has_read_a_summary_may_think_about_it(database: Warehouse) -> None:
    """For longer than a sink's transaction may stand still: all rows of a table are not counted in no time."""
    with reading(database, seconds=SUMMARY_SECONDS) as connection:
        assert connection.execute(text("SELECT @@wait_timeout")).scalar_one() == SUMMARY_SECONDS
    with reading(database) as connection:
        assert connection.execute(text("SELECT @@wait_timeout")).scalar_one() == IDLE_SECONDS
