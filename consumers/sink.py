"""The sink: loads every event of the log into the warehouse's raw tables, exactly once.

It reads Kafka itself, as a member of no group, from the offsets that are stored in the warehouse:

1. read records from the stored offsets on
2. convert each to a raw row, by the same rules as the worker; invalid records are counted and skipped
3. add the rows and move the offsets in one transaction, which is refused if the offsets are no longer
   where step 1 began

So a crash anywhere loads nothing twice and loses nothing, and of two sinks at once one gives way and reads on from
where the other is. Once a second the sink sends a heartbeat to the warehouse, makes sure that the topics are still the
same, and commits lag offsets to Kafka, which nothing reads. Duplicates are loaded too: whether an event counts is for
the batch summary to decide.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import NamedTuple

import structlog

from consumers.backoff import backoff_seconds
from consumers.sink_offsets import LOST_END, LOST_START, starting_offsets
from segmenter import crash_points, topics, warehouse
from segmenter.errors import Fenced, LogTruncated, Unreachable
from segmenter.events import Event, InvalidRecord, PricedEvent, Rules, decode
from segmenter.kinds import by_topic
from segmenter.settings import Settings
from segmenter.topics import Position, Reader, Record, TopicGuard, sink_group
from segmenter.warehouse import Move, RawRow, Warehouse

MAX_RECORDS = 10_000
"""The most records of one transaction."""

HEARTBEAT_SECONDS = 1.0
"""How often the sink sends a heartbeat."""

PATIENCE_SECONDS = 30.0
"""After so long without a record, a run with ``once`` makes sure that the brokers can be reached."""

log = structlog.get_logger()


class SinkResult(NamedTuple):
    """The number of events loaded, by topic, of invalid records, by reason, and the seconds it took."""

    loaded: dict[str, int]
    invalid: dict[str, int]
    seconds: float


def run(
    settings: Settings,
    once: bool,
    on_progress: Callable[[int], None] = lambda records: None,
    stopping: Callable[[], bool] = lambda: False,
    skip_gap: bool = False,
) -> SinkResult:
    """Load until ``stopping`` or, with ``once``, up to the present end of the log. Missing topics are created.

    ``on_progress`` is called with the number of records of each transaction. A part that cannot be reached is waited
    for, but with ``once`` it raises `Unreachable`. Raises `RulesDiffer`, `TopicRecreated` and `LogTruncated`; with
    ``skip_gap``, offsets that the log no longer holds as the sink begins are recorded as gaps instead.
    """
    began = time.monotonic()
    totals = _Totals(Counter(), Counter())
    with warehouse.connect(settings) as database:
        warehouse.require_rules(database, Rules.of(settings))
        warehouse.migrate(database, now_ms=time.time_ns() // 1_000_000)
        warehouse.claim_rules(database, Rules.of(settings))
        ids = topics.ensure_topics(settings)
        goal = topics.ends(settings, ids) if once else None
        failures = 0
        while not stopping():
            loaded = totals.loaded.total()
            try:
                warehouse.send_sink_heartbeat(database)
                ids = topics.topic_ids(settings)
                at = starting_offsets(database, settings, ids, skip_gap, time.time_ns() // 1_000_000)
                skip_gap = False
                _read_on(database, settings, ids, at, goal, totals, on_progress, stopping)
                break
            except Fenced:
                log.info("another sink is loading, too: reading on from where it is")
            except Unreachable as reason:
                if once:
                    raise
                failures = failures + 1 if totals.loaded.total() == loaded else 1
                pause = backoff_seconds(failures)
                log.warning("trying again", reason=str(reason), retry_seconds=round(pause, 2))
                _rest(pause, stopping)
    return SinkResult(dict(totals.loaded), dict(totals.invalid), time.monotonic() - began)


def _rest(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopping():
        time.sleep(0.1)


class _Totals(NamedTuple):
    loaded: Counter[str]
    invalid: Counter[str]


def _read_on(
    database: Warehouse,
    settings: Settings,
    ids: Mapping[str, str],
    at: dict[Position, int],
    goal: Mapping[Position, int] | None,
    totals: _Totals,
    on_progress: Callable[[int], None],
    stopping: Callable[[], bool],
) -> None:
    """Load from the offsets ``at`` until it is time to end. Raises `Fenced` if another sink has loaded meanwhile."""
    rules = Rules.of(settings)
    known = {_plain(settings, topic): topic_id for topic, topic_id in ids.items()}
    with Reader(settings, at, sink_group(settings), LOST_END) as reader, closing(TopicGuard(settings)) as guard:
        moved = time.monotonic()
        last_heartbeat, loaded = 0.0, False
        while not stopping() and (goal is None or any(offset < goal[where] for where, offset in at.items())):
            try:
                if time.monotonic() - last_heartbeat > HEARTBEAT_SECONDS:
                    asked_ms = warehouse.clock_ms(database)  # before: both Kafka and the database may be slow
                    warehouse.send_sink_heartbeat(database, _caught_up_ms(reader, asked_ms), loaded)
                    guard.check(known)
                    reader.commit_lag_offsets(at, now_ms=time.time_ns() // 1_000_000)
                    last_heartbeat, loaded = time.monotonic(), False
                records = reader.poll(500, MAX_RECORDS)
                reached = reader.positions()
            except LogTruncated:
                guard.check(known)
                topics.check_beginnings(at, topics.beginnings(settings, ids), LOST_START)
                raise
            moves = {
                (_plain(settings, topic), part): Move(at[topic, part], offset)
                for (topic, part), offset in reached.items()
                if offset != at[topic, part]
            }
            if not moves:
                if goal is not None and time.monotonic() - moved > PATIENCE_SECONDS:
                    topics.ends(settings, ids)
                    moved = time.monotonic()
                continue
            moved = time.monotonic()
            crash_points.reached("fetch")
            guard.check(known)
            rows, invalid = convert(records, settings, ids, rules)
            crash_points.reached("convert")
            warehouse.load(database, rows, moves)
            crash_points.reached("load")
            totals.loaded.update({topic: len(batch) for topic, batch in rows.items()})
            totals.invalid.update(invalid)
            at, loaded = reached, True
            on_progress(len(records))


def _caught_up_ms(reader: Reader, asked_ms: int) -> int | None:
    """Up to when the log was read, as news at ``asked_ms``; None if there is none, or Kafka does not answer in time."""
    try:
        return reader.caught_up_ms(asked_ms)
    except Unreachable as reason:
        log.warning("Kafka does not tell where the log ends", reason=str(reason))
        return None


def convert(
    records: Iterable[Record], settings: Settings, ids: Mapping[str, str], rules: Rules
) -> tuple[dict[str, list[RawRow]], Counter[str]]:
    """The raw rows of the events, by topic without prefix, and the reasons of the invalid records."""
    rows: dict[str, list[RawRow]] = {}
    invalid: Counter[str] = Counter()
    kinds = by_topic(rules.kinds)
    for record in records:
        topic = _plain(settings, record.topic)
        event = decode(record.value, record.key, kinds[topic], record.partition, record.timestamp, rules)
        if isinstance(event, InvalidRecord):
            invalid[event.reason] += 1
        else:
            rows.setdefault(topic, []).append(raw_row(record, ids[record.topic], event))
    return rows, invalid


def raw_row(record: Record, topic_id: str, event: Event) -> RawRow:
    """One event in the order of ``warehouse.raw_columns``; its ids as bytes."""
    properties = bytes(event.properties)
    return (
        record.partition,
        record.offset,
        topic_id,
        event.user_id.encode(),
        event.time_ms,
        record.timestamp,
        _bytes(event.event_id),
        _bytes(event.session_id),
        event.device,
        event.url,
        event.referrer,
        event.duration_ms,
        _bytes(event.item_id),
        event.query,
        properties.decode() if properties not in (b"", b"null") else None,
        *((event.amount,) if isinstance(event, PricedEvent) else ()),
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _plain(settings: Settings, topic: str) -> str:
    return topic.removeprefix(settings.topic_prefix)
