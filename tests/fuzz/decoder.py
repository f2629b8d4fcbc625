"""Any bytes as the records of a shard, and all that must hold of whatever becomes of them.

Records stand one after the other, separated by a line ``---``. One is its value, then lines that say what is not usual:

::

    {"user_id": "u1", "time_ms": 5}
    @topic 1
    @key u2
    @time -7
    @gap 3
    @elsewhere
    ---
    @null

The usual record is of the first topic, at the next offset, keyed by its user, in that key's partition, at time 0.
``@null`` has no value, ``@nokey`` no key.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from consumers.sink import convert
from segmenter.events import REASONS, Event, InvalidRecord, PricedEvent, Rules, dead_letters, decode, encode
from segmenter.events.event import MAX_USER_BYTES
from segmenter.events.rules import MAX_PROPERTIES_BYTES
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN, by_topic
from segmenter.settings import Settings
from segmenter.shards.batches import Batch, batches_of
from segmenter.shards.duplicates import DuplicateWindow
from tests.defaults import RAW_COLUMNS

KINDS = tuple(BUILT_IN.values())
TOPICS = by_topic(KINDS)
RULES = Rules(partitions=4, duplicate_window=3, max_ahead_ms=1_000, max_event_bytes=10_000, kinds=KINDS, currency="EUR")
ROOMY = msgspec.structs.replace(RULES, max_event_bytes=20_000)
"""An event that was written shorter than `encode` writes it, as with 1\\t instead of 9\\t, still fits."""

MOST_USERS = 2
SEPARATOR = b"\n---\n"
SETTINGS = Settings(partitions=4, kinds=KINDS)
IDS = {topic: f"id of {topic}" for topic in TOPICS}
FIELDS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "docs" / "priced-event.schema.json").read_text("utf-8")
)["properties"]


class ShardRecord(NamedTuple):
    """A record as the Kafka client gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def check(data: bytes) -> Counter[str]:
    """How many events, repeats and refusals of each reason the records are. AssertionError: a promise is broken."""
    log = records(data)
    verdicts = [verdict(record) for record in log]
    for record, found in zip(log, verdicts, strict=True):
        if isinstance(found, InvalidRecord):
            check_dead_letter(record, found)
        else:
            check_event(record, found)
    repeats = repeated(log, verdicts)
    check_pieces(log, verdicts, repeats)
    check_raw_rows(log, verdicts)
    counts = Counter(found.reason for found in verdicts if isinstance(found, InvalidRecord))
    counts["repeats"] = len(repeats)
    counts["events"] = len(log) - counts.total()
    return counts


def records(data: bytes) -> list[ShardRecord]:
    """The records that ``data`` writes down; any bytes do."""
    log: list[ShardRecord] = []
    ends = dict.fromkeys(TOPICS, 0)
    for text in data.split(SEPARATOR):
        value, *lines = (b"\n" + text).split(b"\n@")
        marks = dict(line.partition(b" ")[::2] for line in lines)
        topic = list(TOPICS)[_number(marks.get(b"topic", b"")) % len(TOPICS)]
        key = None if b"nokey" in marks else marks.get(b"key", _user(value[1:]))
        partition = (shard_of(key or b"", RULES.partitions) + (b"elsewhere" in marks)) % RULES.partitions
        offset = ends[topic] + abs(_number(marks.get(b"gap", b""))) % 10
        ends[topic] = offset + 1
        time = _number(marks.get(b"time", b""))
        log.append(ShardRecord(topic, partition, offset, time, key, None if b"null" in marks else value[1:]))
    return log


def _number(digits: bytes) -> int:
    with suppress(ValueError):
        return int(digits[:18])
    return 0


def _user(value: bytes) -> bytes:
    with suppress(ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return bytes(json.loads(value.decode())["user_id"].encode())
    return b"u1"


def verdict(record: ShardRecord) -> Event | InvalidRecord:
    """What the decoder says, asked twice."""
    kind = TOPICS[record.topic]
    found, again = (decode(record.value, record.key, kind, record.partition, record.timestamp, RULES) for _ in range(2))
    assert found == again, (found, again)
    return found


def check_event(record: ShardRecord, event: Event) -> None:
    """It is what the standard library reads in the same bytes, within the documented bounds, and survives encoding."""
    assert record.key is not None and record.value is not None
    written = json.loads(record.value.decode(), parse_int=_int, parse_constant=_no_json)
    for name, value in msgspec.structs.asdict(event).items():
        found = (json.loads(bytes(value)) if bytes(value) else None) if name == "properties" else value
        assert found == written.get(name), (name, found, written.get(name))
        bounds = FIELDS[name].get("anyOf", [FIELDS[name]])[0]
        if isinstance(found, str):
            assert bounds.get("minLength", 0) <= len(found) <= bounds.get("maxLength", 3), (name, len(found))
        elif isinstance(found, int):
            assert bounds["minimum"] <= found <= bounds["maximum"], (name, found)
        else:
            assert found is None or (name == "properties" and isinstance(found, dict)), (name, found)
    if isinstance(event, PricedEvent):
        assert event.currency in (None, RULES.currency)
    assert isinstance(event, PricedEvent) == (TOPICS[record.topic].measure == "amount")
    assert len(record.value) <= RULES.max_event_bytes
    assert len(bytes(event.properties)) <= MAX_PROPERTIES_BYTES
    assert record.key == event.user_id.encode() and len(record.key) <= MAX_USER_BYTES
    assert record.partition == shard_of(record.key, RULES.partitions)
    assert event.time_ms - record.timestamp <= RULES.max_ahead_ms
    kind = TOPICS[record.topic]
    assert decode(encode(event), record.key, kind, record.partition, record.timestamp, ROOMY) == event


def _int(digits: str) -> float:
    return int(digits) if len(digits) < 20 else float(digits)


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def check_dead_letter(record: ShardRecord, refusal: InvalidRecord) -> None:
    """It has a documented reason, can be published and read again, and keeps the beginning of the value."""
    assert refusal.reason in REASONS
    letter = dead_letters.describe(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, refusal
    )
    assert dead_letters.decode(dead_letters.encode(letter)) == letter
    assert dead_letters.letter_key(letter) == f"{record.topic}:{record.partition}:{record.offset}".encode()
    assert letter.length == len(record.value or b"")
    if letter.value is not None:
        kept = letter.value.encode()
        assert (record.value or b"").startswith(kept)
        assert kept == record.value or len(kept) > dead_letters.KEPT_BYTES - 4
    else:
        assert (letter.value_base64 is None) == (record.value is None)


def repeated(log: list[ShardRecord], verdicts: list[Event | InvalidRecord]) -> set[tuple[str, int]]:
    """The (topic, offset) of the repeats, straight from the rule."""
    last: dict[tuple[str, str, str], int] = {}
    found = set()
    for record, event in zip(log, verdicts, strict=True):
        if isinstance(event, Event) and event.event_id is not None:
            key = (record.topic, event.user_id, event.event_id)
            if record.offset - last.get(key, -RULES.duplicate_window - 1) <= RULES.duplicate_window:
                found.add((record.topic, record.offset))
            last[key] = record.offset
    return found


def check_pieces(log: list[ShardRecord], verdicts: list[Event | InvalidRecord], repeats: set[tuple[str, int]]) -> None:
    """Each record is exactly one of an event applied, a repeat, a refusal; and the offsets end after the last."""
    start = dict.fromkeys(TOPICS, 0)
    seen = DuplicateWindow(RULES.duplicate_window, start, key=bytes(16))
    batches: list[Batch] = list(batches_of(log, start, "", seen, RULES, MOST_USERS))
    applied = [(event.topic, event.offset) for batch in batches for event in batch.events]
    refused = [(record.topic, record.offset) for batch in batches for record, _ in batch.invalid]
    places = [((record.topic, record.offset), found) for record, found in zip(log, verdicts, strict=True)]
    assert refused == [place for place, found in places if isinstance(found, InvalidRecord)]
    assert applied == [place for place, found in places if isinstance(found, Event) and place not in repeats]
    assert sum(batch.duplicates for batch in batches) == len(repeats)
    assert all(len(batch.users) <= MOST_USERS for batch in batches)
    assert batches[-1].offsets == start | {record.topic: record.offset + 1 for record in log}


def check_raw_rows(log: list[ShardRecord], verdicts: list[Event | InvalidRecord]) -> None:
    """The sink loads every event, repeats too, and counts every refusal."""
    rows, refused = convert(log, SETTINGS, IDS, RULES)
    events = [(record, found) for record, found in zip(log, verdicts, strict=True) if isinstance(found, Event)]
    assert refused.total() + len(events) == len(log)
    for topic in TOPICS:
        mine = [(record, event) for record, event in events if record.topic == topic]
        for row, (record, event) in zip(rows.get(topic, []), mine, strict=True):
            assert row[:6] == (record.partition, record.offset, IDS[topic], record.key, event.time_ms, record.timestamp)
            *_, properties = row[: len(RAW_COLUMNS)]
            assert properties is None or isinstance(json.loads(properties), dict)
            assert row[len(RAW_COLUMNS) :] == ((event.amount,) if isinstance(event, PricedEvent) else ())
