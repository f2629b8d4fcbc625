"""The demo: raw events become live segments that equal the batch answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from consumers import sink, worker
from producers.messages import Message, Refused
from producers.publish import Published, publish
from segmenter import settings as every_setting
from segmenter import warehouse
from segmenter.analysis.algorithms import ALGORITHMS, Options
from segmenter.client import Answer, SegmentClient
from segmenter.embedded import PLAINTEXT, private_stack
from segmenter.errors import UsageError
from segmenter.operations import snapshot
from segmenter.operations.analysis.clusters import cluster
from segmenter.operations.progress import Progress, silent
from segmenter.operations.reconcile import reconcile
from segmenter.operations.report import report
from segmenter.operations.status import read_status
from segmenter.report.facts import Facts
from segmenter.report.output import prepare
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.models import read_model
from segmenter.store.shards import members

if TYPE_CHECKING:
    import pandas as pd


class SegmentMeans(msgspec.Struct, frozen=True):
    """One segment of the snapshot: its size, its share of all users, and the mean of each feature; None if missing."""

    segment: str
    name: str
    users: int
    share: float
    means: dict[str, float | None]


class Sums(msgspec.Struct, frozen=True):
    """What became of everything that was read. It must add up."""

    read: int
    published: int
    refused: int
    folded: int
    duplicates: int
    dead_letters: int
    raw_rows: int

    @property
    def add_up(self) -> bool:
        """Whether every published record was folded, a duplicate or a dead letter, and the warehouse has the same."""
        counted = self.folded + self.duplicates
        return self.published == counted + self.dead_letters and counted == self.raw_rows


class Demo(msgspec.Struct, frozen=True):
    """The result of a demo."""

    events: int
    events_per_second: int
    users: int
    dead_letters: int
    segments: list[SegmentMeans]
    """Least engaged first."""
    reconcile: dict[str, int]
    """The numbers of users ``compared``, ``differing``, ``missing`` and ``extra``."""
    refused: dict[str, int]
    """The number of refused rows, by reason."""
    sums: Sums
    equal: bool
    """Whether stream and batch are equal and the sums add up."""
    files: list[str]
    """The report: its page, and its charts as PNG."""


def run_on_private_parts(
    source: Iterable[Message | Refused], total: int | None, out: Path, progress: Progress = silent
) -> tuple[Demo, list[Answer]]:
    """`run` on embedded parts that are started for it and end with it."""
    with private_stack() as stack:
        own = every_setting.load(
            kafka=stack.kafka,
            redis_url=stack.redis_url,
            warehouse_url=stack.warehouse_url,
            log_level="warning",
            **PLAINTEXT,
        )
        return run(own, source, total, out, progress)


def run(
    settings: Settings,
    source: Iterable[Message | Refused],
    total: int | None,
    out: Path,
    progress: Progress = silent,
) -> tuple[Demo, list[Answer]]:
    """Publish the events of a source to empty parts, segment their users, load the warehouse, and compare the two.

    ``total`` is the number of messages of the source, None if it is unknown; the report goes into the folder ``out``.
    If it is known, there is a snapshot half-way too, so that the report can say what has changed. Returns the result,
    and a lookup from each of at most three segments. Raises `UsageError` when nothing was published.
    """
    prepare(out)
    halves = [source] if total is None or total < 2 else _halves(source, total)
    published, worked = zip(*[_segment(settings, half, progress) for half in halves], strict=True)
    answers = _lookups(settings)
    with progress("loading the warehouse", sum(each.published for each in published)) as advance:
        sink.run(settings, once=True, on_progress=advance)
    with progress("batch summary, other algorithms, report", 3) as advance:
        _, result = reconcile(settings)
        advance(1)
        with suppress(UsageError):  # too few users, or no scikit-learn: the report says that there is no comparison
            cluster(settings, ALGORITHMS, Options(len(settings.segments)), None, time.time_ns() // 1_000_000)
        advance(1)
        written = report(settings, out, time.time_ns() // 1_000_000)
        advance(1)
    sums = _sums(settings, published)
    events, seconds = sum(each.records for each in worked), sum(each.seconds for each in worked)
    return Demo(
        events=events,
        events_per_second=round(events / max(seconds, 0.001)),
        users=len(written.facts.users),
        dead_letters=sums.dead_letters,
        segments=_means(written.facts, settings),
        reconcile={name: getattr(result, name) for name in ("compared", "differing", "missing", "extra")},
        refused=_refused(published),
        sums=sums,
        equal=result.equal and sums.add_up,
        files=[str(file) for file in written.files],
    ), answers


def _halves(source: Iterable[Message | Refused], total: int) -> list[Iterable[Message | Refused]]:
    messages = iter(source)
    return [islice(messages, total // 2), messages]


def _segment(
    settings: Settings, source: Iterable[Message | Refused], progress: Progress
) -> tuple[Published, worker.WorkerResult]:
    """Publish events, segment their users, and take a snapshot."""
    with progress("publishing", None) as advance:
        published = publish(settings, source, advance)
    _require_events(published)
    with progress("folding and judging", published.published) as advance:
        worked = worker.run(settings, once=True, on_progress=advance)
    snapshot.take(settings, time.time_ns() // 1_000_000, progress=progress)
    return published, worked


def _refused(published: Iterable[Published]) -> dict[str, int]:
    """The number of refused rows, by reason."""
    counts: Counter[str] = Counter()
    for each in published:
        counts.update({reason: rows.rows for reason, rows in each.refused.items()})
    return dict(counts)


def _require_events(published: Published) -> None:
    if not published.published:
        reasons = "; ".join(f"{reason} ({rows.rows:,})" for reason, rows in published.refused.items())
        raise UsageError(
            f"none of the {published.read:,} rows became an event{': ' if reasons else ''}{reasons}. "
            "Try `segmenter replay FILE --mapping M --preview 5`."
        )


def _lookups(settings: Settings) -> list[Answer]:
    """One user of the lowest, the middle and the highest segment, looked up as a service would."""
    with closing(connect(settings)) as client:
        model = read_model(client, settings)
        slugs = model.slugs if model else ()
        found = [
            sorted(user for shard in range(settings.partitions) for user in members(client, settings, shard, slug))[:1]
            for slug in dict.fromkeys(slugs[:1] + slugs[len(slugs) // 2 :][:1] + slugs[-1:])
        ]
    with SegmentClient(settings.redis_url) as segments:
        return segments.lookup_many([user.decode() for users in found for user in users])


def _sums(settings: Settings, published: Sequence[Published]) -> Sums:
    with warehouse.connect(settings) as database:
        raw_rows = sum(warehouse.raw_rows(database).values())
    counted = read_status(settings)
    read, acknowledged = sum(each.read for each in published), sum(each.published for each in published)
    return Sums(
        read=read,
        published=acknowledged,
        refused=read - acknowledged,
        folded=counted.folded or 0,
        duplicates=counted.duplicates or 0,
        dead_letters=sum((counted.dead_letters or {}).values()),
        raw_rows=raw_rows,
    )


def _means(facts: Facts, settings: Settings) -> list[SegmentMeans]:
    users, names = facts.users, facts.names
    features = [feature.name for feature in settings.judging]
    grouped = users.groupby("segment")
    sizes, means = grouped.size(), grouped[features].mean()
    return [
        SegmentMeans(
            segment=slug,
            name=name,
            users=int(sizes.get(slug, 0)),
            share=int(sizes.get(slug, 0)) / max(len(users), 1),
            means={feature: _mean(means, slug, feature) for feature in features},
        )
        for slug, name in names.items()
    ]


def _mean(means: pd.DataFrame, slug: str, feature: str) -> float | None:
    if slug not in means.index:
        return None
    value = float(means[feature].to_dict()[slug])
    return None if value != value else round(value, 3)
