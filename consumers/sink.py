"""The sink: loads every event of the log into the warehouse's raw tables, exactly once.

It reads Kafka itself, as a member of no group, from the offsets that stand in the warehouse:

1. read records from the stored offsets on
2. judge each by the same rules as the worker; what is refused is counted and passed over
3. add the rows and move the offsets in one transaction, which is refused if the offsets
   are no longer where step 1 began

So a crash anywhere loads nothing twice and loses nothing, and of two sinks at once one yields and reads on
from where the other got to. Once a second it tells Kafka how far it is, which nothing reads on from, and makes sure
that the warehouse is still there and the topics are still the same. Repeats are loaded too: whether one counts is
for the batch summary to say.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import NamedTuple

import msgspec
import structlog

from consumers.backoff import pause_seconds
from segmenter import crash_points, topics, warehouse
from segmenter.errors import Fenced, LogTruncated, TopicRecreated, Unreachable
from segmenter.events import Event, Refusal, Rules, decode
from segmenter.settings import Settings
from segmenter.topics import Position, Reader, Record, TopicGuard, sink_group
from segmenter.warehouse import Loaded, Move, RawRow, Warehouse

MAX_RECORDS = 10_000
"""The most records of one transaction."""

_RESTORE = "Put the missing part of the log back, or set SEGMENTER_WAREHOUSE_URL to an empty database."

TELL_SECONDS = 1.0
"""How often the sink says how far it is, and that it reaches the warehouse; `segmenter.topics.lag_offsets` tells to whom."""

PATIENCE_SECONDS = 30.0
"""After so long without a record, a run that is to end asks whether the brokers are still there."""

log = structlog.get_logger()


class SinkResult(NamedTuple):
    """Events loaded by topic, records refused by reason, and the seconds it took."""

    loaded: dict[str, int]
    refused: dict[str, int]
    seconds: float


def run(
    settings: Settings,
    once: bool,
    on_progress: Callable[[int], None] = lambda records: None,
    stopping: Callable[[], bool] = lambda: False,
) -> SinkResult:
    """Load until ``stopping`` says so or, with ``once``, up to where the log ends now. Missing topics are created.

    ``on_progress`` is told the number of records of each transaction. A part that cannot be reached is waited for,
    but with ``once`` it is `Unreachable`. Raises `RulesDiffer`, `TopicRecreated` and `LogTruncated`.
    """
    began = time.monotonic()
    tally = _Tally(Counter(), Counter())
    with warehouse.connect(settings.warehouse_url) as house:
        warehouse.migrate(house, now_ms=time.time_ns() // 1_000_000)
        warehouse.hold_rules(house, msgspec.structs.asdict(Rules.of(settings)))
        ids = topics.ensure_topics(settings)
        goal = topics.ends(settings, ids) if once else None
        failures = 0
        while not stopping():
            loaded = tally.loaded.total()
            try:
                if _read_on(house, settings, goal, tally, on_progress, stopping):
                    break
                log.info("another sink is at work, reading on from where it got to")
            except Unreachable as reason:
                if once:
                    raise
                failures = failures + 1 if tally.loaded.total() == loaded else 1
                pause = pause_seconds(failures)
                log.warning("trying again", reason=str(reason), seconds=round(pause, 2))
                _rest(pause, stopping)
    return SinkResult(dict(tally.loaded), dict(tally.refused), time.monotonic() - began)


def _rest(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopping():
        time.sleep(0.1)


class _Tally(NamedTuple):
    loaded: Counter[str]
    refused: Counter[str]


def _read_on(
    house: Warehouse,
    settings: Settings,
    goal: Mapping[Position, int] | None,
    tally: _Tally,
    on_progress: Callable[[int], None],
    stopping: Callable[[], bool],
) -> bool:
    """Load until it is time to end, or until another sink has loaded meanwhile: then False."""
    ids = topics.topic_ids(settings)
    at = stored_offsets(house, settings, ids)
    rules = Rules.of(settings)
    known = {_plain(settings, topic): topic_id for topic, topic_id in ids.items()}
    with Reader(settings, at, sink_group(settings), _RESTORE) as reader, closing(TopicGuard(settings)) as guard:
        moved = time.monotonic()
        told = 0.0
        while not stopping() and (goal is None or any(offset < goal[where] for where, offset in at.items())):
            if time.monotonic() - told > TELL_SECONDS:
                warehouse.loaded(house)
                guard.check(known)
                reader.tell_lag_tools(at, now_ms=time.time_ns() // 1_000_000)
                told = time.monotonic()
            try:
                records = reader.poll(500, MAX_RECORDS)
            except LogTruncated:
                guard.check(known)
                raise
            reached = reader.positions()
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
            crash_points.passed("fetch")
            guard.check(known)
            rows, refused = judge(records, settings, ids, rules)
            crash_points.passed("judge")
            try:
                warehouse.load(house, rows, moves)
            except Fenced:
                return False
            crash_points.passed("load")
            tally.loaded.update({topic: len(batch) for topic, batch in rows.items()})
            tally.refused.update(refused)
            at = reached
            on_progress(len(records))
    return True


def stored_offsets(house: Warehouse, settings: Settings, ids: Mapping[str, str]) -> dict[Position, int]:
    """From where to read each partition; one never loaded before begins where the log does.

    Raises `TopicRecreated` when the stored offsets belong to another topic of the same name, `LogTruncated` when
    the log ends before one of them.
    """
    begin = {
        (_plain(settings, topic), part): Loaded(ids[topic], offset)
        for (topic, part), offset in topics.beginnings(settings, ids).items()
    }
    for where in begin.keys() - warehouse.loaded(house).keys():
        if begin[where].next_pos:
            log.warning("the warehouse begins after events that the log no longer holds", topic=where[0], part=where[1])
    warehouse.begin(house, begin)
    stored = warehouse.loaded(house)
    at = {}
    at_end = topics.ends(settings, ids)
    for topic, part in at_end:
        known, at[topic, part] = stored[_plain(settings, topic), part]
        if known != ids[topic]:
            raise TopicRecreated(topic, known, ids[topic])
    topics.check_ends(at, at_end, _RESTORE)
    return at


def judge(
    records: Iterable[Record], settings: Settings, ids: Mapping[str, str], rules: Rules
) -> tuple[dict[str, list[RawRow]], Counter[str]]:
    """The raw rows of the records that are events, by topic without prefix, and the reasons of the others."""
    rows: dict[str, list[RawRow]] = {}
    refused: Counter[str] = Counter()
    for record in records:
        event = decode(record.value, record.key, record.partition, record.timestamp, rules)
        if isinstance(event, Refusal):
            refused[event.reason] += 1
        else:
            rows.setdefault(_plain(settings, record.topic), []).append(raw_row(record, ids[record.topic], event))
    return rows, refused


def raw_row(record: Record, topic_id: str, event: Event) -> RawRow:
    """One event in the order of ``warehouse.RAW_COLUMNS``; its ids as bytes."""
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
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _plain(settings: Settings, topic: str) -> str:
    return topic.removeprefix(settings.topic_prefix)
