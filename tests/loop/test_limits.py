"""The largest event that is one: worker and sink take it in whole, and refuse what is one above alike."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from sqlalchemy import text

from consumers import sink, worker
from segmenter import warehouse
from segmenter.events import MAX_TIME_MS, Event, InvalidRecord, Rules, decode, encode, key_of, type_of
from segmenter.kinds import BUILT_IN, Kind
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.warehouse.engine import reading
from segmenter.warehouse.templates import statements
from tests.defaults import TOPICS, VIEW
from tests.loop.helpers import START_MS, publish_raw, rows

GHOST = "\N{GHOST}"
"""Four bytes in UTF-8: no character has more."""

LONGEST = {
    "user_id": 128,
    "event_id": 128,
    "session_id": 128,
    "device": 512,
    "url": 8_192,
    "referrer": 8_192,
    "item_id": 128,
    "query": 8_192,
}
"""The most characters of each text, as docs/events.md says."""

LONGEST_MS = 86_400_000
LARGEST_AMOUNT = 10**12
PROPERTIES_BYTES = 4_096
RECORD_BYTES = 262_144

CAPACITY = {"TINYTEXT": 255, "TEXT": 65_535, "MEDIUMTEXT": 2**24 - 1, "INTEGER": 2**31 - 1, "BIGINT": 2**63 - 1}
"""The most bytes, or the greatest number, that MySQL keeps in a column of a type."""


def properties(size: int) -> str:
    """An object of so many bytes, nearly all of them in characters of four."""
    bare = len('{"x":""}')
    ghosts, rest = divmod(size - bare, 4)
    return f'{{"x":"{GHOST * ghosts}{"x" * rest}"}}'


def record(properties_bytes: int = PROPERTIES_BYTES, **changed: object) -> bytes:
    """An event at every limit, but for what is named."""
    event = {name: GHOST * most for name, most in LONGEST.items()}
    fields = event | {"time_ms": START_MS, "duration_ms": LONGEST_MS} | changed
    body = json.dumps(fields, ensure_ascii=False)
    return f'{body[:-1]}, "properties": {properties(properties_bytes)}}}'.encode()


BEYOND = {
    **{name: record(**{name: GHOST * (most + 1)}) for name, most in LONGEST.items()},
    "duration_ms": record(duration_ms=LONGEST_MS + 1),
    "properties": record(PROPERTIES_BYTES + 1),
}
"""The same, with one field one above its limit."""


def padded(size: int) -> bytes:
    """A small event with a field that nobody knows, so many bytes in all."""
    begun = b'{"user_id":"u1","time_ms":1,"unknown":"'
    return begun + b"x" * (size - len(begun) - 2) + b'"}'


def verdict(value: bytes, user: str = GHOST * 128) -> str:
    found = decode(value, user.encode(), VIEW, 0, START_MS, Rules(partitions=1))
    return found.reason if isinstance(found, InvalidRecord) else "event"


def test_at_its_limit_a_field_is_valid_and_one_above_it_is_not() -> None:
    """Texts are counted in characters, properties and the whole record in bytes."""
    assert verdict(record()) == "event"
    assert len(properties(PROPERTIES_BYTES).encode()) == PROPERTIES_BYTES
    longer = GHOST * 129
    found = {name: verdict(value, longer if name == "user_id" else GHOST * 128) for name, value in BEYOND.items()}
    assert found == dict.fromkeys(BEYOND, "invalid")
    assert [verdict(padded(RECORD_BYTES + more), "u1") for more in (0, 1)] == ["event", "too_large"]


def capacity(kind: str) -> int:
    """What a column of this type can hold; one of characters may hold the longest ones."""
    name, _, size = kind.rstrip(")").partition("(")
    return int(size) * {"VARBINARY": 1, "VARCHAR": 4}[name] if size else CAPACITY[name]


@pytest.mark.parametrize("kind", BUILT_IN.values(), ids=BUILT_IN)
def test_each_column_has_room_for_what_its_field_may_hold(kind: Kind) -> None:
    """By the types in ``sql/``, which SQLite does not heed. A currency is not stored with each amount."""
    found = statements("006_kind.sql", kind=kind, columns=(), raw_columns=())
    (created,) = (each for each in found if f"EXISTS raw_{kind.topic} " in each)
    types = dict(re.findall(r"^ +([a-z_]+) ([A-Z]+(?:\(\d+\))?)", created, re.MULTILINE))
    numbers = {"time_ms": MAX_TIME_MS, "duration_ms": LONGEST_MS, "properties": PROPERTIES_BYTES}
    amounts = {"amount": LARGEST_AMOUNT} if kind.measure == "amount" else {}
    needed = numbers | amounts | {name: 4 * most for name, most in LONGEST.items()}
    fields = {field.name for field in msgspec.structs.fields(type_of(kind))} - {"currency"}
    assert needed.keys() == fields <= types.keys()
    assert {name: most for name, most in needed.items() if most > capacity(types[name])} == {}


def test_an_event_at_all_limits_at_once_is_kept_whole(settings: Settings) -> None:
    """In every topic; nothing of it is cut off, the sink goes on, and both sides agree."""
    value, key = record(), key_of(GHOST * 128)
    small = encode(Event("u1", START_MS))
    for topic in TOPICS:
        publish_raw(settings, topic, [(key, value), (b"u1", small)])
    assert worker.run(settings, once=True, may_refit=False).dead_letters == 0
    result = sink.run(settings, once=True)
    assert (result.loaded, result.invalid) == (dict.fromkeys(TOPICS, 2), {})
    texts = {name: GHOST * most for name, most in LONGEST.items()}
    ids = {name: texts[name].encode() for name in ("user_id", "event_id", "session_id", "item_id")}
    expected = texts | ids | {"duration_ms": LONGEST_MS, "properties": properties(PROPERTIES_BYTES)}
    query = f"SELECT {', '.join(expected)} FROM raw_{{}} WHERE user_id = :user"
    with warehouse.connect(settings) as database, reading(database) as connection:
        for topic in TOPICS:
            found = connection.execute(text(query.format(topic)), {"user": key}).one()
            assert tuple(found) == tuple(expected.values()), topic
    assert rows(settings)[key].profile == (1, 1, LONGEST_MS, 1, 1, 1, LONGEST_MS, START_MS, START_MS)
    snapshot.take(settings, START_MS)
    assert reconcile(settings)[1].equal


def test_what_is_one_above_a_limit_is_invalid_to_worker_and_sink_alike(settings: Settings) -> None:
    """And stops neither: what comes after it counts."""
    invalid = [(GHOST * (129 if name == "user_id" else 128), value) for name, value in BEYOND.items()]
    last = (b"u1", encode(Event("u1", START_MS)))
    for topic in TOPICS:
        publish_raw(settings, topic, [*((key_of(user), value) for user, value in invalid), last])
    assert worker.run(settings, once=True, may_refit=False).dead_letters == 3 * len(BEYOND)
    result = sink.run(settings, once=True)
    assert (result.loaded, result.invalid) == (dict.fromkeys(TOPICS, 1), {"invalid": 3 * len(BEYOND)})
    assert rows(settings).keys() == {b"u1"}
    snapshot.take(settings, START_MS)
    assert reconcile(settings)[1].equal
