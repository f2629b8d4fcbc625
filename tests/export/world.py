"""Users whose ids are easily spoilt on their way, and a plain way to say what an export must hold of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from segmenter import warehouse
from segmenter.model.generation import Generation, Segment
from segmenter.operations.progress import Progress
from segmenter.warehouse import Warehouse
from segmenter.warehouse.engine import reading
from tests.defaults import NAMES, VALUES

NAMED = {"low_engagement": "=HYPERLINK(1)", "highly_engaged": "Stammgäste, treu"}
"""The names of the segments by slug."""
TAKEN = datetime(2026, 11, 27, 23, 59, 59, 999_000, UTC)
IDS = (
    *(
        "007",
        "7",
        "7.0",
        "bob",
        "bob ",
        "Bob",
        "null",
        "NaN",
        "true",
        "2026-11-27",
        "1e5",
        "a,b",
        'a"b',
        "a\nb",
        "a\rb",
    ),
    *("=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1+1", "''", "Zoë ☃", "\ufeffx", "😀" * 128, "x\0y"),
)
LARGE = 2**62 - 1
COLUMNS = ["user_id", "segment", "segment_name", "generation", *VALUES, "snapshot_id", "taken_at"]

Row = dict[str, Any]


def write(database: Warehouse, ids: Sequence[str] = IDS, taken: datetime = TAKEN, *, incremental: bool = False) -> int:
    """A snapshot of these users; every third has no mean, and every fourth no segment. Returns its number."""
    model = Generation(
        number=3, cause="bootstrap", features=NAMES, centres=((0.0,) * 4,) * 2,
        segments=tuple([Segment(index, slug, name) for index, (slug, name) in enumerate(NAMED.items())]),
        scale=(1.0,) * 4, fill=(0.0,) * 4, population=9, fitted_population=9, created_ms=5,
    )  # fmt: skip
    slugs = [*NAMED, *NAMED, "unassigned"]
    rows = []
    for number, user in enumerate(ids):
        timed = number % 3
        profile = (number + 1, timed, 1_000 * timed, LARGE - number, 7, 1, number, 5, LARGE)
        means = [1_000 * timed / (3 * timed) if timed else None, number / 7]
        slug = slugs[number % len(slugs)]
        rows.append((user.encode(), 0, *profile, number + 1, LARGE - number, 7, *means, slug, 1 + number % 3, 1, 0, 0))
    taken_ms = int(taken.timestamp()) * 1_000 + taken.microsecond // 1_000
    body = model.encode().decode()
    return warehouse.write_snapshot(database, taken_ms, {}, [rows], 3, body, {}, incremental=incremental).snapshot_id


def expected(database: Warehouse, number: int, taken: datetime = TAKEN) -> list[Row]:
    """What an export of the snapshot must hold, by plain SQL, in the order of the ids."""
    with reading(database) as connection:
        query = "SELECT * FROM snapshot_users WHERE snapshot_id = :number"
        found = [row._asdict() for row in connection.execute(text(query), {"number": number})]
    for row in found:
        row["user_id"] = bytes(row["user_id"]).decode()
        row["segment_name"] = NAMED.get(row["segment"], "Unassigned")
        row["taken_at"] = taken
    return sorted([{name: row[name] for name in COLUMNS} for row in found], key=lambda row: row["user_id"].encode())


def after_the_first(act: Callable[[], object]) -> Progress:
    """A `Progress` that does something as soon as the first users have been exported."""

    @contextmanager
    def progress(stage: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        left = [act]

        def advance(count: int) -> None:
            if left:
                left.pop()()

        yield advance

    return progress


class Stop(Exception):
    """Something that nobody has thought of."""


def stop() -> None:
    """Raise `Stop`."""
    raise Stop
