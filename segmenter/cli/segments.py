"""`segmenter segments`: the segments as they are now."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from segmenter.cli import common


def segments(*, json: common.Json = False) -> None:
    """Show each segment's size, share and typical features, live from the census in Redis.

    The typical value is the one in the middle of the scale that users are judged on: the mean of log(1 + x), taken
    back, over the users who have the feature. One very busy user hardly moves it.
    """
    from segmenter.model.census import merged
    from segmenter.operations import segments
    from segmenter.store.connection import connect
    from segmenter.store.meta import check
    from segmenter.store.models import read_model
    from segmenter.store.shards import read_shards

    settings = common.settings("redis_url")
    client = connect(settings)
    check(client, settings)
    model = read_model(client, settings)
    shards = read_shards(client, settings)
    rows = segments.segments(merged(state.census for state in shards.values()), model)
    report = {"generation": model.number if model else 0, "segments": [row._asdict() for row in rows]}
    common.emit(report, json, show)


def show(report: dict[str, Any]) -> None:
    """Print the table of segments."""
    rows = report["segments"]
    if not rows:
        common.console.print("no users yet")
        return
    users = sum(row["users"] for row in rows)
    table = Table("segment", title=f"{users:,} users, generation {report['generation']}, typical values")
    for title in ("users", "share", *rows[0]["typical"]):
        table.add_column(title, justify="right")
    for row in rows:
        typical = ["missing" if value is None else f"{value:,.1f}" for value in row["typical"].values()]
        table.add_row(row["name"], f"{row['users']:,}", f"{row['share']:.1%}", *typical)
    common.console.print(table)
