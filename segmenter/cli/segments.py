"""`segmenter segments`: the segments as they are now."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from segmenter.cli import common


def segments(*, json: common.Json = False) -> None:
    """Show each segment's size, share and typical features, live from the census in Redis.

    The typical value of a feature is exp(m) - 1, where m is the mean of log(1 + x) over the users who have it: the
    middle of the scale on which users are judged. One very busy user hardly moves it. The least engaged segment comes
    first, by its clicks and searches. A model of few users is provisional: it is refitted as more users come.
    """
    from segmenter.operations.segments.live import read_segments

    found = read_segments(common.settings("redis_url"))
    common.emit({**found._asdict(), "segments": [row._asdict() for row in found.segments]}, json, show)


def show(report: dict[str, Any]) -> None:
    """Print the table of segments."""
    rows = report["segments"]
    if not rows:
        common.console.print("no users yet")
        return
    users = sum(row["users"] for row in rows)
    generation = f"generation {report['generation']}{' (provisional)' if report['provisional'] else ''}"
    table = Table("segment", title=f"{users:,} users, {generation}, typical values")
    for title in ("users", "share", *rows[0]["typical"]):
        table.add_column(title, justify="right")
    for row in rows:
        typical = ["missing" if value is None else f"{value:,.1f}" for value in row["typical"].values()]
        table.add_row(escape(row["name"]), f"{row['users']:,}", f"{row['share']:.1%}", *typical)
    common.console.print(table)
