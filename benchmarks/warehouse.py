"""What the batch summary and reconcile cost, from scratch and after a little more has come, in one run.

    SEGMENTER_WAREHOUSE_URL=mysql+pymysql://root@127.0.0.1/bench .venv/bin/python benchmarks/warehouse.py

needs an empty database, and leaves its tables there. It loads raw events as a sink does, sums them up, loads a few more
and refreshes the summary; then it loads a few more again and reconciles. In place of a stream, the snapshots hold what
the one statement over all raw events gives (sql/summary.sql), so each reconcile compares two ways to sum up, and must
find no difference.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from segmenter import settings, warehouse
from segmenter.events import Rules
from segmenter.kinds import Feature, Kind, catalogue
from segmenter.model.profiles import fields
from segmenter.operations.reconcile import reconcile
from segmenter.warehouse import Loaded, Move, RawRow, Warehouse
from segmenter.warehouse.columns import cut_columns
from segmenter.warehouse.engine import listed
from segmenter.warehouse.summary.statement import ALL_LOADED, insert_all
from segmenter.warehouse.summary.work_tables import working

START_MS = 1_767_600_000_000
AT_ONCE = 10_000
A_SESSION = 5
"""So many events come one after the other from one user."""


def rows_of(first: int, end: int, part: int, number: int, kind: Kind, users: int) -> Iterator[RawRow]:
    """The raw events at these offsets of the kind of this number; users come in an order that a prime mixes up."""
    topic, measured = kind.topic, kind.measure == "duration"
    for pos in range(first, end):
        visit = pos // A_SESSION
        who = 4 * ((visit + number * users // 12) * 7919 % (users // 4)) + part
        time_ms = START_MS + visit * 60_000 + pos % A_SESSION * 7_000
        yield (
            *(part, pos, "t", f"user-{who:07d}".encode(), time_ms, time_ms, f"{topic}-{part}-{pos}".encode()),
            *(f"s{part}-{visit}".encode(), "mobile", f"/page/{pos * 7919 % 5003}", None),
            *(pos % 60_000 if measured else None, None, None if measured else f"query {pos % 997}", None),
        )


def load(database: Warehouse, count: int, users: int) -> None:
    """Load so many more events, equally many of each kind and partition."""
    has = warehouse.loaded(database)
    for number, kind in enumerate(database.kinds):
        for part in range(4):
            begin = has[kind.topic, part].next_pos
            end = begin + count // len(database.kinds) // 4
            for first in range(begin, end, AT_ONCE):
                last = min(end, first + AT_ONCE)
                rows = list(rows_of(first, last, part, number, kind, users))
                warehouse.load(database, {kind.topic: rows}, {(kind.topic, part): Move(first, last)})


def snapshot(database: Warehouse, window: int) -> None:
    """Take one of everything that is loaded, by the one statement."""
    names = [*fields(database.kinds), *[feature.name for feature in catalogue(database.kinds)]]
    values = [*[f"`{field}`" for field in fields(database.kinds)], *map(_value, catalogue(database.kinds))]
    with working(database, writes=False) as connection:
        insert_all(connection, database.kinds, ALL_LOADED, window)
        number = connection.execute(text("SELECT COALESCE(MAX(snapshot_id), 0) + 1 FROM snapshots")).scalar_one()
        cuts = [f"(SELECT MAX(next_pos) FROM sink_offsets WHERE topic = '{each.topic}')" for each in database.kinds]
        for statement in (
            f"INSERT INTO snapshot_cuts SELECT {number}, topic, part, topic_id, next_pos FROM sink_offsets",
            f"INSERT INTO snapshot_users (snapshot_id, user_id, part, {listed(names)}, segment, generation, "
            f"{listed(cut_columns(database.kinds))}) SELECT {number}, user_id, "
            f"CAST(SUBSTR(user_id, 6) AS SIGNED INTEGER) % 4, {', '.join(values)}, 'all', 1, {', '.join(cuts)} "
            "FROM recomputed",
            f"INSERT INTO snapshots SELECT {number}, 1, 1, COUNT(*) FROM snapshot_users WHERE snapshot_id = {number}",
        ):
            connection.execute(text(statement))


def _value(feature: Feature) -> str:
    if feature.denominator is None:
        return feature.numerator
    return f"CASE WHEN {feature.denominator} > 0 THEN CAST({feature.numerator} AS DOUBLE) / {feature.denominator} END"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--new", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    options = parser.parse_args()
    found = settings.load()
    table = Table("what", "seconds", "of the first", "peak memory, MB")

    def timed(name: str, do: Callable[[], object], beside: float | None = None) -> float:
        print(f"{name} ...", flush=True)
        began = time.monotonic()
        do()
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        table.add_row(name, f"{seconds:,.1f}", f"1/{beside / seconds:.0f}" if beside else "", f"{peak:,}")
        return seconds

    with warehouse.connect(found) as database:
        warehouse.migrate(database, 1)
        warehouse.claim_rules(database, Rules.of(found))
        places = [(kind.topic, part) for kind in database.kinds for part in range(4)]
        warehouse.begin(database, dict.fromkeys(places, Loaded("t", 0)), 1)

        def load_more(count: int) -> None:
            load(database, count, options.users)

        def refresh() -> None:
            warehouse.refresh_summary(database, found.duplicate_window)

        def take() -> None:
            snapshot(database, found.duplicate_window)

        def compare() -> None:
            result = reconcile(found)[1]
            assert result.equal and not result.full, result

        timed(f"load {options.rows:,} raw events", lambda: load_more(options.rows))
        timed("snapshot by the one statement", take)
        whole = timed("sum up all of them", refresh)
        first = whole + timed("reconcile, once they are summed up", compare)
        timed(f"load {options.new:,} more", lambda: load_more(options.new))
        timed("summary refresh, beside summing up all", refresh, whole)
        timed(f"load {options.new:,} more", lambda: load_more(options.new))
        timed("snapshot by the one statement", take)
        timed("reconcile again, beside the first and its summing up", compare, first)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
