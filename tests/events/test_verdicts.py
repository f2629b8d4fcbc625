"""Verdicts against a second decoder: the standard library's JSON, and the bounds as the documents state them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.partitioner import murmur2

from segmenter.events import REASONS, Event, InvalidRecord, Rules, decode
from segmenter.kinds import BUILT_IN, Kind
from tests.defaults import VIEW

PURCHASE = BUILT_IN["purchase"]
RULES = Rules(partitions=3, max_ahead_ms=1_000, max_event_bytes=9_000, kinds=(VIEW, PURCHASE), currency="EUR")
HOME = 1
"""The partition of u1 among three."""
LAST_MS = 253_402_300_799_999
TEXTS = {  # the fewest and the most characters
    "user_id": (1, 128),
    "event_id": (1, 128),
    "session_id": (0, 128),
    "device": (0, 512),
    "url": (0, 8_192),
    "referrer": (0, 8_192),
    "item_id": (0, 128),
    "query": (0, 8_192),
}
NUMBERS = {  # the least and the most
    "time_ms": (0, LAST_MS),
    "duration_ms": (0, 86_400_000),
    "amount": (-(10**12), 10**12),
}
OF_AMOUNTS = {"amount", "currency"}
"""The fields of kinds that measure an amount; in others, they may hold anything."""

REQUIRED = {"user_id", "time_ms"}
OTHERS: list[Any] = [True, False, 1.5, 5.0, -1, [], ["u1"], {}, {"a": 1}]

Fields = dict[str, Any]


def texts(least: int, most: int) -> st.SearchStrategy[Any]:
    """About the bounds; of characters of one to four bytes."""
    lengths = st.sampled_from(sorted({0, least, 1, 5, most, most + 1}))
    return st.builds(lambda character, length: character * length, st.sampled_from('x0 "ü€🦉'), lengths)


def numbers(least: int, most: int) -> st.SearchStrategy[int]:
    about = [number + by for number in (least, most) for by in (-1, 0, 1)]
    return st.sampled_from([-1, 0, 1, 999, 1_000, 1_001, 86_400_000, *about, 2**63, 2**64, 10**30])


VALUES = {name: texts(*bounds) for name, bounds in TEXTS.items()}
VALUES |= {name: numbers(*bounds) for name, bounds in NUMBERS.items()}
VALUES["currency"] = st.sampled_from(["EUR", "EUR", "USD", "eur", "", "ü🦉"])
PROPERTIES = st.one_of(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, "x", None, [[]]]), max_size=3),
    st.sampled_from([4_086, 4_087, 4_088, 4_089, 4_090]).map(lambda length: {"a": "x" * length}),
)
MOST_OFTEN_RIGHT = {"user_id": st.sampled_from(["u1", "Bob", "ü🦉"]), "time_ms": st.integers(0, 1_000)}


@st.composite
def field_values(draw: st.DrawFn) -> Fields:
    """The fields of an event, of which usually all but one or two are right."""
    fields: Fields = {name: draw(right) for name, right in MOST_OFTEN_RIGHT.items()}
    for name in draw(st.lists(st.sampled_from([*VALUES, "properties", "unknown"]), max_size=4, unique=True)):
        own = PROPERTIES if name == "properties" else VALUES.get(name, st.integers())
        fields[name] = draw(st.one_of(own, own, own, st.none(), st.sampled_from(OTHERS)))
    for name in draw(st.lists(st.sampled_from(sorted(REQUIRED)), max_size=1) if draw(st.booleans()) else st.just([])):
        del fields[name]
    return dict(draw(st.permutations(list(fields.items()))))


def expected(value: bytes, key: bytes | None, partition: int, timestamp: int, kind: Kind = VIEW) -> str:
    """The reason, or ``event``."""
    if len(value) > 9_000:
        return "too_large"
    try:
        fields = json.loads(value.decode())
    except ValueError:
        return "malformed"
    if not isinstance(fields, dict):
        return "malformed"
    ignored = set() if kind == PURCHASE else OF_AMOUNTS
    if not all(is_right(name, fields.get(name)) for name in VALUES.keys() - ignored):
        return "invalid"
    if len(fields["user_id"].encode()) > 512:
        return "invalid"
    properties = fields.get("properties")
    if properties is not None and (not isinstance(properties, dict) or len(compact(properties)) > 4_096):
        return "invalid"
    if key != fields["user_id"].encode():
        return "wrong_key"
    if partition != (murmur2(key) & 0x7FFFFFFF) % 3:
        return "wrong_partition"
    return "time_ahead" if fields["time_ms"] > timestamp + 1_000 else "event"


def is_right(name: str, value: Any) -> bool:
    if value is None:
        return name not in REQUIRED
    if name == "currency":
        return bool(value == "EUR")
    if name in TEXTS:
        least, most = TEXTS[name]
        return isinstance(value, str) and least <= len(value) <= most
    least, most = NUMBERS[name]
    return type(value) is int and least <= value <= most


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def verdict(value: bytes | None, key: bytes | None, partition: int, timestamp: int, kind: Kind = VIEW) -> str:
    found = decode(value, key, kind, partition, timestamp, RULES)
    return found.reason if isinstance(found, InvalidRecord) else "event"


@settings(max_examples=200)
@given(field_values(), st.sampled_from([VIEW, PURCHASE]), st.data())
def test_a_second_decoder_gives_the_same_verdict(fields: Fields, kind: Kind, data: st.DataObject) -> None:
    """And reads the same fields, whatever their order and how the characters are written."""
    user = fields.get("user_id")
    key = user.encode() if isinstance(user, str) else b"u1"
    home = (murmur2(key) & 0x7FFFFFFF) % 3
    key = data.draw(st.sampled_from([key, key, key, key, None, b"", key + b" ", key.upper()]))
    partition = data.draw(st.sampled_from([home, home, home, 0, 1, 2]))
    timestamp = data.draw(st.sampled_from([0, 1, 10**12, LAST_MS]))
    value = compact(fields)

    assert verdict(value, key, partition, timestamp, kind) == expected(value, key, partition, timestamp, kind)

    found = decode(value, key, kind, partition, timestamp, RULES)
    if isinstance(found, Event):
        read = msgspec.structs.asdict(found)
        assert read.keys() == VALUES.keys() - (set() if kind == PURCHASE else OF_AMOUNTS) | {"properties"}
        assert {name: read[name] for name in read if name in VALUES} == {
            name: fields.get(name) for name in read if name in VALUES
        }
        assert json.loads(bytes(found.properties) or b"null") == fields.get("properties")


SNIPPETS = [b'"user_id":"u1"', b'"time_ms":5', b"{", b"}", b"[", b"]", b",", b" ", b"\n", b"null", b"\xff", b'"', b"\\"]
EVENT = b'{"user_id":"u1","time_ms":5}'
RECORDS = [
    b"",
    b"{}",
    b"[]",
    b'"u1"',
    b"5",
    b"null",
    EVENT,
    b" %s\n" % EVENT,
    EVENT[:-1],
    EVENT + b"}",
    b"\xff" + EVENT,
]


@settings(max_examples=200)
@given(st.one_of(st.sampled_from(RECORDS), st.lists(st.sampled_from(SNIPPETS), max_size=9).map(b"".join)))
def test_what_is_hardly_json_is_judged_alike(value: bytes) -> None:
    """Of a text that breaks off as JSON after a field that is wrong, either may be said."""
    found, right = (judge(value, b"u1", HOME, 0) for judge in (verdict, expected))
    assert found == right or (value.lstrip()[:1], found, right) == (b"{", "invalid", "malformed")


def test_the_size_of_a_record_is_bounded_by_the_rules() -> None:
    """To the byte, spaces included, whatever is in it."""
    found = [verdict(EVENT.ljust(size), b"u1", HOME, 0) for size in (8_999, 9_000, 9_001)]
    assert found == ["event", "event", "too_large"]
    assert decode(EVENT, b"u1", VIEW, 0, 0, Rules(partitions=1)) == Event("u1", 5)
    whole = [decode(EVENT.ljust(size), b"u1", VIEW, 0, 0, Rules(partitions=1)) for size in (262_144, 262_145)]
    assert [isinstance(each, Event) for each in whole] == [True, False]


def nested(depth: int, closed: bytes = b"[]") -> bytes:
    """An event that is so deep, after as many brackets side by side, and with some in a text."""
    beside = b",".join([closed] * 100)
    return b'{"x":[%s],"user_id":"u1","time_ms":5,"query":"]]}","y":%s}' % (
        beside,
        b'{"z":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2),
    )


@pytest.mark.parametrize("beside", [b"[]", b"{}", b'{"a":[]}', b'"[["'])
def test_depth_is_how_many_brackets_are_open_at_once(beside: bytes) -> None:
    """Those that are closed again, and those in texts, do not count; the event's own does."""
    found = [verdict(nested(depth, beside), b"u1", HOME, 0) for depth in (62, 63, 64, 65)]
    assert found == ["event", "event", "malformed", "malformed"]


def test_a_bracket_closed_is_one_less() -> None:
    """Not the beginning of the count: what opens after it is as deep as it is."""
    for reopened, right in ((5, "event"), (6, "malformed")):
        value = b'{"user_id":"u1","time_ms":5,"x":' + b"[" * 60 + b"[]," + b"[" * (reopened - 2) + b"1"
        value += b"]" * (reopened - 2) + b"]" * 60 + b"}"
        assert verdict(value, b"u1", HOME, 0) == right


def test_properties_may_have_4096_bytes() -> None:
    """As they are written, spaces included."""
    found = []
    for size in (4_096, 4_097):
        properties = b"{" + b'"a":1}'.rjust(size - 1)
        assert len(properties) == size
        found.append(verdict(EVENT[:-1] + b',"properties":' + properties + b"}", b"u1", HOME, 0))
    assert found == ["event", "invalid"]


def test_spaces_before_an_event_change_nothing() -> None:
    assert [verdict(b" \n" + each, b"u1", HOME, 0) for each in (EVENT, b"{}", b"[]")] == [
        "event",
        "invalid",
        "malformed",
    ]


DETAILS: list[tuple[bytes | Fields | None, dict[str, Any], str]] = [
    (None, {}, "the value is null"),
    (b"x" * 9_001, {}, "9001 bytes, at most 9000 are allowed"),
    (b"[" * 65, {}, "nested more than 64 deep"),
    (b"{", {}, "Input data was truncated"),
    (b'{"user_id":"\xff"}', {}, "'utf-8' codec can't decode byte 0xff in position 12: invalid start byte"),
    ({"user_id": "🦉" * 128 + "x"}, {}, "length <= 128 - at `$.user_id`"),
    ({"time_ms": -1}, {}, "`int` >= 0 - at `$.time_ms`"),
    ({"duration_ms": "5"}, {}, "Expected `int | null`, got `str` - at `$.duration_ms`"),
    ({"properties": []}, {}, "Expected `object | null` - at `$.properties`"),
    ({"properties": {"a": "x" * 5_000}}, {}, "properties have 5008 bytes, at most 4096 are allowed"),
    ({"amount": 10**12 + 1}, {"kind": PURCHASE}, "`int` <= 1000000000000 - at `$.amount`"),
    ({"amount": -(10**12) - 1}, {"kind": PURCHASE}, "`int` >= -1000000000000 - at `$.amount`"),
    ({"currency": "USD"}, {"kind": PURCHASE}, "the currency is b'USD', the only one is 'EUR'"),
    ({"currency": "x" * 81}, {"kind": PURCHASE}, f"the currency is b'{'x' * 80}...', the only one is 'EUR'"),
    ({}, {"key": b"u2"}, "the key is b'u2', the user b'u1'"),
    ({}, {"key": None}, "the key is None, the user b'u1'"),
    ({}, {"key": b"k" * 80}, f"the key is b'{'k' * 80}', the user b'u1'"),
    ({}, {"key": b"k" * 81}, f"the key is b'{'k' * 80}...', the user b'u1'"),
    ({}, {"partition": 0}, "partition 0, the key belongs to 1"),
    ({"time_ms": 1_003}, {"timestamp_ms": 2}, "1001 ms ahead of the record, at most 1000 are allowed"),
]


@pytest.mark.parametrize(("value", "record", "says"), DETAILS, ids=[says for *_, says in DETAILS])
def test_the_detail_says_what_was_found_and_what_is_allowed(
    value: bytes | Fields | None, record: dict[str, Any], says: str
) -> None:
    if isinstance(value, dict):
        value = compact({"user_id": "u1", "time_ms": 5} | value)
    usual: dict[str, Any] = {"key": b"u1", "kind": VIEW, "partition": 1, "timestamp_ms": 0, "rules": RULES}
    found = decode(value, **usual | record)
    assert isinstance(found, InvalidRecord) and found.reason in REASONS
    assert found.detail.endswith(says)


def test_a_user_id_may_have_512_bytes() -> None:
    """More than its 128 characters of four bytes cannot be: the bound holds where the one of characters does."""
    user = "🦉" * 128
    value, rules = compact({"user_id": user, "time_ms": 0}), Rules(partitions=1)
    assert decode(value, user.encode(), VIEW, 0, 0, rules) == Event(user, 0)


def test_text_that_no_utf_8_can_hold_is_malformed() -> None:
    for name in ("user_id", "query"):
        fields = {"user_id": '"u1"', "time_ms": "5", "query": '"q"'} | {name: '"\\ud800"'}
        value = ",".join(f'"{field}":{text}' for field, text in fields.items())
        assert verdict(f"{{{value}}}".encode(), b"u1", 1, 0) == "malformed"
