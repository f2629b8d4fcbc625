"""`segmenter demo`: raw events become live segments that equal the batch answer, on parts of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from segmenter.cli import common
from segmenter.errors import UsageError
from segmenter.events import Rules

if TYPE_CHECKING:
    from producers.messages import Message, Refused
    from segmenter.client import Answer
    from segmenter.report.charts import Portrait
    from segmenter.settings import Settings

    Source = Iterable[Message | Refused]

Positive = Number(gte=1)


def demo(
    *,
    input: Path | None = None,
    mapping: Path | None = None,
    events: Annotated[int, Parameter(validator=Positive)] = 100_000,
    users: Annotated[int, Parameter(validator=Positive)] = 3_000,
    out: Path = Path("demo"),
    json: common.Json = False,
) -> int:
    """Publish events, segment their users live, and prove that this equals the batch; end with 1 if it does not.

    It brings its own broker, Redis and SQLite file, and leaves nothing running.

    Parameters
    ----------
    input
        A recorded file to replay in place of synthetic events.
    mapping
        The TOML file that says how its rows become events; see examples/mappings/.
    events
        How many synthetic events.
    users
        How many users they belong to.
    out
        The folder for the plots.
    """
    from segmenter import logs, settings
    from segmenter.embedded import PLAINTEXT, private_stack

    source, total = _source(input, mapping, events, users)
    logs.setup("warning")
    common.expect_many_objects()
    with private_stack() as stack:
        own = settings.load(
            kafka=stack.kafka,
            redis_url=stack.redis_url,
            warehouse_url=stack.warehouse_url,
            log_level="warning",
            **PLAINTEXT,
        )
        report, answers = run(own, source, total, out)
    common.emit(report, json, lambda found: _show(found, answers))
    return 0 if report["equal"] else 1


def run(settings: Settings, source: Source, total: int | None, out: Path) -> tuple[dict[str, Any], list[Answer]]:
    """The whole loop on running, empty parts: what came of it, and a lookup from each segment."""
    from consumers import sink, worker
    from producers.publish import publish
    from segmenter import warehouse
    from segmenter.cli.reconcile import verdict
    from segmenter.operations import snapshot
    from segmenter.operations.status import overview
    from segmenter.report import charts

    with common.progress("publishing", total) as advance:
        published = publish(settings, source, advance)
    if not published.published:
        reasons = "; ".join(f"{reason} ({tally.rows:,})" for reason, tally in published.refused.items())
        raise UsageError(
            f"none of the {published.read:,} rows became an event{': ' if reasons else ''}{reasons}. "
            "Try `segmenter replay FILE --mapping M --preview 5`."
        )
    with common.progress("folding and judging", published.published) as advance:
        worked = worker.run(settings, once=True, on_progress=advance)
    answers = _lookups(settings)
    with common.progress("loading the warehouse", published.published) as advance:
        sink.run(settings, once=True, on_progress=advance)
    with common.progress("snapshot, batch summary, plots", 3) as advance:
        snapshot.take(settings, time.time_ns() // 1_000_000)
        advance(1)
        _, reconciliation = verdict(settings)
        advance(1)
        portrait = charts.read(settings.warehouse_url)
        files = charts.draw(portrait, out)
        advance(1)
    with warehouse.connect(settings.warehouse_url) as house:
        raw_rows = sum(warehouse.raw_rows(house).values())
    counted = overview(settings)
    sums = {
        "read": published.read,
        "published": published.published,
        "refused": published.read - published.published,
        "folded": counted["folded"],
        "duplicates": counted["duplicates"],
        "dead_letters": sum(counted["dead_letters"].values()),
        "raw_rows": raw_rows,
    }
    return {
        "events": worked.records,
        "events_per_second": round(worked.records / max(worked.seconds, 0.001)),
        "users": counted["users"],
        "dead_letters": sums["dead_letters"],
        "segments": _segments(portrait),
        "reconcile": {name: getattr(reconciliation, name) for name in ("compared", "differing", "missing", "extra")},
        "refused": {reason: tally.rows for reason, tally in published.refused.items()},
        "sums": sums,
        "equal": reconciliation.equal and _adds_up(sums),
        "files": [str(file) for file in files],
    }, answers


def _source(input: Path | None, mapping: Path | None, events: int, users: int) -> tuple[Source, int | None]:
    """The messages to publish, and how many there will be if that is known."""
    if input is None and mapping is None:
        from producers.synthetic.generator import generate

        return generate(events, users, seed=1), events
    if input is None or mapping is None:
        raise UsageError("--input and --mapping go together: the mapping says how the file's rows become events.")
    from producers.recorded.replay import Wishes, messages
    from segmenter.settings import load

    return messages(input, mapping, Rules.of(load()), time.time_ns() // 1_000_000, Wishes()), None


def _lookups(settings: Settings) -> list[Answer]:
    """One user of each segment, at most three, asked for as a service would."""
    from segmenter.client import SegmentClient
    from segmenter.store.connection import connect
    from segmenter.store.models import read_model
    from segmenter.store.shards import members

    client = connect(settings)
    model = read_model(client, settings)
    slugs = model.slugs if model else ()
    found = [
        sorted(user for shard in range(settings.partitions) for user in members(client, settings, shard, slug))[:1]
        for slug in dict.fromkeys(slugs[:1] + slugs[len(slugs) // 2 :][:1] + slugs[-1:])
    ]
    with SegmentClient(settings.redis_url) as segments:
        return segments.lookup_many([user.decode() for users in found for user in users])


def _segments(portrait: Portrait) -> list[dict[str, Any]]:
    """Size, share and mean features of each segment, least engaged first."""
    from segmenter.model.features import FEATURES

    names = [feature.name for feature in FEATURES]
    grouped = portrait.users.groupby("segment")
    sizes, means = grouped.size(), grouped[names].mean()
    return [
        {
            "segment": slug,
            "name": name,
            "users": int(sizes.get(slug, 0)),
            "share": int(sizes.get(slug, 0)) / max(len(portrait.users), 1),
            "means": {feature: _number(means, slug, feature) for feature in names},
        }
        for slug, name in portrait.names.items()
    ]


def _number(means: Any, slug: str, feature: str) -> float | None:
    if slug not in means.index:
        return None
    value = float(means.loc[slug, feature])
    return None if value != value else round(value, 3)


def _adds_up(sums: dict[str, int]) -> bool:
    counted = sums["folded"] + sums["duplicates"]
    return sums["published"] == counted + sums["dead_letters"] and counted == sums["raw_rows"]


def _show(report: dict[str, Any], answers: list[Answer]) -> None:
    from segmenter.cli.lookup import show

    line = common.console.print
    line(f"\n{report['events']:,} events of {report['users']:,} users, {report['events_per_second']:,} a second")
    table = Table("segment")
    for title in ("users", "share", *report["segments"][0]["means"]):
        table.add_column(title.replace("_", " "), justify="right")
    for row in report["segments"]:
        means = ["-" if mean is None else f"{mean:,.1f}" for mean in row["means"].values()]
        table.add_row(row["name"], f"{row['users']:,}", f"{row['share']:.1%}", *means)
    line(table)
    verdict = ", ".join(f"{name} {count:,}" for name, count in report["reconcile"].items())
    line(f"stream - batch: {verdict}")
    n = {name: f"{count:,}" for name, count in report["sums"].items()}
    line(f"read {n['read']} = published {n['published']} + refused {n['refused']}")
    for reason, rows in report["refused"].items():
        line(f"  refused {rows:,}: {reason}", markup=False)
    line(f"published = folded {n['folded']} + duplicates {n['duplicates']} + dead letters {n['dead_letters']}")
    line(f"folded + duplicates = raw rows {n['raw_rows']}")
    line("everything adds up\n" if report["equal"] else "THIS DOES NOT ADD UP\n")
    show(answers)
    line("\nplots: " + ", ".join(report["files"]))
