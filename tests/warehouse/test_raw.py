"""Loading raw events: rows and offsets together, once, whoever loads."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import Fenced, RulesDiffer, Unreachable
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.warehouse import Loaded, Move, RawRow, Warehouse
from segmenter.warehouse.engine import insert, reading, writing
from tests.defaults import RAW_COLUMNS
from tests.threads import ENDS_SECONDS, Threads

RULES = Rules(partitions=4, duplicate_window=100)


def rows(count: int, start: int = 0, part: int = 0) -> list[RawRow]:
    same = (None, "mobile", "/\N{SNOWMAN}\N{PILE OF POO}", None)
    return [
        (part, start + pos, "t1", b"u%d" % (pos % 7), 1_000, 2_000, b"e%d" % pos, *same, pos, b"i", None, '{"a": 1}')
        for pos in range(count)
    ]


def count(database: Warehouse, table: str = "raw_views") -> int:
    with reading(database) as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


@pytest.fixture
def begun(database: Warehouse) -> Warehouse:
    warehouse.begin(database, {("views", 0): Loaded("t1", 0), ("views", 1): Loaded("t1", 40)}, 7)
    return database


def test_rows_and_offsets_move_together(begun: Warehouse) -> None:
    warehouse.load(begun, {"views": rows(10) + rows(5, 40, 1)}, {("views", 0): Move(0, 12), ("views", 1): Move(40, 45)})
    assert count(begun) == 15
    assert warehouse.loaded(begun) == {("views", 0): Loaded("t1", 12), ("views", 1): Loaded("t1", 45)}


def test_loading_twice_is_loading_once(begun: Warehouse) -> None:
    warehouse.load(begun, {"views": rows(10)}, {("views", 0): Move(0, 10)})
    with pytest.raises(Fenced, match="'views' partition 0 no longer stands at 0"):
        warehouse.load(begun, {"views": rows(10)}, {("views", 0): Move(0, 10)})
    assert count(begun) == 10


def test_a_refused_load_leaves_nothing(begun: Warehouse) -> None:
    with pytest.raises(Fenced):
        warehouse.load(begun, {"views": rows(3)}, {("views", 0): Move(0, 3), ("views", 1): Move(41, 50)})
    assert count(begun) == 0
    assert warehouse.loaded(begun)["views", 0].next_pos == 0


def test_a_failed_load_leaves_nothing(begun: Warehouse) -> None:
    with pytest.raises(Unreachable):
        warehouse.load(begun, {"views": [*rows(3), *rows(1)]}, {("views", 0): Move(0, 4)})
    assert count(begun) == 0
    assert warehouse.loaded(begun)["views", 0].next_pos == 0


def test_beginning_again_keeps_what_is_there(begun: Warehouse) -> None:
    warehouse.begin(begun, {("views", 0): Loaded("t2", 99), ("views", 2): Loaded("t2", 7)}, 8)
    assert warehouse.loaded(begun)["views", 0] == Loaded("t1", 0)
    assert warehouse.loaded(begun)["views", 2] == Loaded("t2", 7)


def test_of_two_loads_at_once_one_is_refused(begun: Warehouse) -> None:
    refused: list[Fenced] = []
    start = threading.Barrier(4, timeout=ENDS_SECONDS)

    def load() -> None:
        start.wait()
        try:
            warehouse.load(begun, {"views": rows(500)}, {("views", 0): Move(0, 500)})
        except Fenced as fenced:
            refused.append(fenced)

    with Threads() as threads:
        threads.map(lambda _: load(), range(4))
    assert len(refused) == 3
    assert count(begun) == 500


def test_a_hundred_thousand_rows_load(begun: Warehouse) -> None:
    warehouse.load(begun, {"views": rows(100_000)}, {("views", 0): Move(0, 100_000)})
    with reading(begun) as connection:
        found = connection.execute(text("SELECT COUNT(*), SUM(duration_ms), COUNT(DISTINCT event_id) FROM raw_views"))
        assert tuple(map(int, found.one())) == (100_000, 99_999 * 50_000, 100_000)


def test_what_was_loaded_comes_back_byte_for_byte(begun: Warehouse) -> None:
    odd = (
        0,
        0,
        "t1",
        b"Bob\0",
        1,
        2,
        b"e\xf0\x9f\x91\xbb",
        b"",
        "d\0",
        "u" * 8_192,
        "\U0001f47b" * 8_192,
        0,
        b"i ",
        "",
        "{}",
    )
    warehouse.load(begun, {"views": [odd]}, {("views", 0): Move(0, 1)})
    with reading(begun) as connection:
        query = f"SELECT {', '.join(RAW_COLUMNS)} FROM raw_views"
        assert tuple(connection.execute(text(query)).one()) == odd


def test_the_first_rules_are_kept_and_others_refused(database: Warehouse) -> None:
    warehouse.claim_rules(database, RULES)
    warehouse.claim_rules(database, RULES)
    with pytest.raises(
        RulesDiffer, match=r"duplicate_window is 100 there and 7 here; partitions is 4 there and 6 here"
    ):
        warehouse.claim_rules(database, Rules(partitions=6, duplicate_window=7))
    warehouse.claim_rules(database, RULES)


def test_writers_that_read_first_do_not_refuse_each_other(database: Warehouse) -> None:
    start = threading.Barrier(4, timeout=ENDS_SECONDS)

    def write(writer: int) -> None:
        start.wait()
        for turn in range(10):
            with writing(database) as connection:
                connection.execute(text("SELECT COUNT(*) FROM meta")).scalar_one()
                insert(connection, "meta", ("name", "value"), [(f"{writer}:{turn}", "")])

    with Threads() as threads:
        threads.map(write, range(4))
    assert count(database, "meta") == 40


def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    with (
        warehouse.connect(Settings(warehouse_url="mysql+pymysql://seg:s3cret@127.0.0.1:1/seg")) as database,
        pytest.raises(Unreachable, match=r"seg:\*\*\*@127.0.0.1:1/seg") as caught,
    ):
        warehouse.applied(database)
    assert "\n" not in str(caught.value) and "s3cret" not in str(caught.value)
