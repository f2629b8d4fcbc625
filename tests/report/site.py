"""A small site in a warehouse, with a history, and with texts that would be code if they were not escaped."""

from __future__ import annotations

from sqlalchemy import text

from segmenter import warehouse
from segmenter.settings import Settings
from segmenter.warehouse import ClusterRun, Span, Warehouse
from segmenter.warehouse.engine import insert, writing
from tests.profiles.world import KINDS, SLUGS, WINDOW, World

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"
LOW, MIDDLE, HIGH = SLUGS
MOVES = [(LOW, HIGH, "model", 3), (LOW, MIDDLE, "behaviour", 5), (HIGH, LOW, "repair", 1), ("", LOW, "behaviour", 9)]


def settings_of(url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(
        warehouse_url=url, kinds=KINDS, duplicate_window=WINDOW, currency="EUR", timezone="America/St_Johns"
    )


def hostile(of: World) -> World:
    """The same site, but what users look for is a script."""
    events = of.events.copy()
    events.loc[events["query"].notna() & (events["pos"] % 2 == 0), "query"] = f"{HOSTILE}\x1b[31m"
    return World(of.users, events)


def fill(database: Warehouse) -> None:
    """Sizes of a snapshot that is gone and of this one, moves, two verdicts, two runs of an algorithm."""
    changes = [
        (0, f"u{number}".encode(), 1_000 + kind, number, source, to, cause, 4)
        for kind, (source, to, cause, times) in enumerate(MOVES)
        for number in range(times)
    ]
    sizes = [(number, slug, slug, 10 * number, number * 86_400_000) for number in (0, 1) for slug in SLUGS]
    verdicts = [(1, 1, 90, 9, 0, 0, 0, 0), (2, 1, 90, 0, 0, 0, 0, 0), (3, 2, 90, 7, 0, 0, 0, 0)]
    with writing(database) as connection:
        connection.execute(text("DELETE FROM segment_sizes"))
        insert(connection, "segment_sizes", ("snapshot_id", "segment", "name", "users", "taken_ms"), sizes)
        columns = ("part", "user_id", "at_ms", "at_seq", "from_segment", "to_segment", "cause", "generation")
        insert(connection, "segment_changes", columns, changes)
        columns = ("reconciled_ms", "snapshot_id", "compared", "differing", "missing", "extra", "shards", "gaps")
        insert(connection, "reconciliations", columns, verdicts)
    run = ClusterRun(1, "kmeans", "{}", 3, 100, 0, 0.9, 0.1, 50.0, 0.8, 5)
    for silhouette in (0.1, 0.9):
        warehouse.write_clusters(database, run._replace(silhouette=silhouette), [])


def add_spans(database: Warehouse, *spans: tuple[int, int, int]) -> None:
    """Shards, and from when to when their changes are known."""
    with writing(database) as connection:
        insert(connection, "change_spans", Span._fields, [Span(*span, 0, 0, 0, "s", 1, 0) for span in spans])
