"""What summary, snapshot and reconcile cost, from scratch and after a little more has come, in one run.

    SEGMENTER_WAREHOUSE_URL=mysql+pymysql://root@127.0.0.1/bench SEGMENTER_REDIS_URL=redis://127.0.0.1/0 \
        SEGMENTER_KAFKA=127.0.0.1:1 .venv/bin/python benchmarks/warehouse.py

needs an empty database and a Redis of its own, whose keys under the prefix it replaces; no Kafka is asked. It loads
raw events as a sink does, and fills Redis with what the one statement over all of them gives (sql/summary.sql). Each
command is a process of its own, of which the greatest resident memory is measured, and each reconcile must find no
difference.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from segmenter import settings, warehouse
from segmenter.events import Rules
from segmenter.events.sharding import shard_of
from segmenter.kinds import Kind
from segmenter.operations.restore import Plan, state_at, write
from segmenter.settings import Settings
from segmenter.shards.state import Counts
from segmenter.warehouse import AllLoaded, Cut, Loaded, Move, RawRow, SnapshotUser, Warehouse

START_MS = 1_767_600_000_000
AT_ONCE = 10_000
A_SESSION = 5
"""So many events come one after the other from one user."""


def users_by_part(users: int, partitions: int) -> list[list[bytes]]:
    """So many user ids, by the partition that Kafka gives them."""
    found: list[list[bytes]] = [[] for _ in range(partitions)]
    for number in range(users):
        user = f"user-{number:07d}".encode()
        found[shard_of(user, partitions)].append(user)
    return found


def rows_of(first: int, end: int, part: int, number: int, kind: Kind, users: list[bytes]) -> Iterator[RawRow]:
    """The raw events at these offsets of the kind of this number; users come in an order that a prime mixes up."""
    topic, measured = kind.topic, kind.measure == "duration"
    for pos in range(first, end):
        visit = pos // A_SESSION
        user = users[(visit + number * len(users) // 3) * 7919 % len(users)]
        time_ms = START_MS + visit * 60_000 + pos % A_SESSION * 7_000
        yield (
            *(part, pos, "t", user, time_ms, time_ms, f"{topic}-{part}-{pos}".encode()),
            *(f"s{part}-{visit}".encode(), "mobile", f"/page/{pos * 7919 % 5003}", None),
            *(pos % 60_000 if measured else None, None, None if measured else f"query {pos % 997}", None),
        )


def load(database: Warehouse, count: int, users: list[list[bytes]]) -> None:
    """Load so many more events, equally many of each kind and partition."""
    has = warehouse.loaded(database)
    for number, kind in enumerate(database.kinds):
        for part, own in enumerate(users):
            begin = has[kind.topic, part].next_pos
            end = begin + count // len(database.kinds) // len(users)
            for first in range(begin, end, AT_ONCE):
                last = min(end, first + AT_ONCE)
                rows = list(rows_of(first, last, part, number, kind, own))
                warehouse.load(database, {kind.topic: rows}, {(kind.topic, part): Move(first, last)})


def fill_redis(database: Warehouse, found: Settings) -> None:
    """Make Redis hold what the raw events say, as workers that have read them all would."""
    loaded = warehouse.all_loaded(database, found.duplicate_window)
    cuts = {at: Cut(*position) for at, position in loaded.offsets.items()}
    states = {
        part: state_at(part, cuts, Counts(*counts, {}, {}), generation=None) for part, counts in loaded.counts.items()
    }
    write(found, Plan(None, len(loaded.profiles), lambda: _users(loaded, found), None, states, 0, []))


def _users(loaded: AllLoaded, found: Settings) -> Iterator[list[SnapshotUser]]:
    batch = []
    for user, profile in loaded.profiles.items():
        part = shard_of(user, found.partitions)
        offsets = {kind.topic: loaded.offsets[kind.topic, part].next_pos for kind in found.kinds}
        batch.append(SnapshotUser(user, part, profile, offsets))
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    yield batch


def run(*arguments: str) -> tuple[dict[str, object], int]:
    """What a command prints, and its greatest resident memory in MB."""
    line = [sys.executable, "-m", "segmenter", *arguments, "--json"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, (arguments, printed)
    return json.loads(printed), usage.ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--new", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    options = parser.parse_args()
    found = settings.load()
    users = users_by_part(options.users, found.partitions)
    table = Table("what", "seconds", "beside", "peak memory, MB")

    def timed(name: str, do: Callable[[], int | None], beside: float | None = None) -> float:
        print(f"{name} ...", flush=True)
        began = time.monotonic()
        peak = do()
        seconds = time.monotonic() - began
        table.add_row(
            name, f"{seconds:,.1f}", f"1/{beside / seconds:.0f}" if beside else "", f"{peak:,}" if peak else ""
        )
        return seconds

    def command(*arguments: str) -> Callable[[], int]:
        return lambda: run(*arguments)[1]

    def reconcile() -> int:
        printed, peak = run("reconcile")
        assert not (printed["differing"] or printed["missing"] or printed["extra"] or printed["full"]), printed
        return peak

    with warehouse.connect(found) as database:
        warehouse.migrate(database, 1)
        warehouse.claim_rules(database, Rules.of(found))
        places = [(kind.topic, part) for kind in database.kinds for part in range(found.partitions)]
        warehouse.begin(database, dict.fromkeys(places, Loaded("t", 0)), 1)
        timed(f"load {options.rows:,} raw events", lambda: load(database, options.rows, users))
        whole = timed("summary refresh: all of them", command("summary", "refresh"))
        timed("fill Redis", lambda: fill_redis(database, found))
        taken = timed("snapshot", command("snapshot"))
        first = whole + timed("reconcile, once they are summed up", reconcile)
        timed(f"load {options.new:,} more", lambda: load(database, options.new, users))
        timed("summary refresh, beside that of all", command("summary", "refresh"), whole)
        timed(f"load {options.new:,} more", lambda: load(database, options.new, users))
        timed("fill Redis", lambda: fill_redis(database, found))
        timed("snapshot --incremental, beside a whole one", command("snapshot", "--incremental"), taken)
        timed("reconcile again, beside the first and its summing up", reconcile, first)
        timed("snapshot", command("snapshot"))
        timed("reconcile of that", reconcile, first)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
