"""The verdict on a record depends on the record and the rules alone."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as kafkas_murmur2

from segmenter.errors import RulesDiffer
from segmenter.events import Event, InvalidRecord, Rules, completed, decode, encode, key_of
from segmenter.events.rules import MAX_NESTING
from segmenter.events.sharding import murmur2, shard_of
from segmenter.settings import Settings

RULES = Rules(partitions=1)


def nested(depth: int) -> bytes:
    """An event with an unknown field of brackets within brackets; the event itself is one of them."""
    return b'{"user_id":"u","time_ms":1,"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def verdict(value: bytes | None, frames: int = 0) -> str:
    """The reason, or ``event``, asked from so many calls deeper."""
    if frames:
        return verdict(value, frames - 1)
    found = decode(value, b"u", 0, 0, RULES)
    return found.reason if isinstance(found, InvalidRecord) else "event"


@pytest.mark.parametrize("frames", [0, 300])
def test_how_deep_a_record_may_nest_is_a_rule(frames: int) -> None:
    """Not a matter of how deep the caller stands, as the parser's own limit is."""
    assert verdict(nested(MAX_NESTING), frames) == "event"
    assert {verdict(nested(depth), frames) for depth in range(MAX_NESTING + 1, 1_100, 50)} == {"malformed"}


def test_brackets_in_strings_do_not_nest() -> None:
    assert verdict(b'{"user_id":"u","time_ms":1,"query":"' + b'[{\\"' * 200 + b'"}') == "event"
    assert verdict(b'{"user_id":"u","time_ms":1,"query":"' + b"[" * 200) == "malformed"


@pytest.mark.parametrize("part", [b'"x":"\xff"', b'"\xff":1', b'"x":"\xed\xa0\x80"', b'"properties":{"x":"\xff"}'])
def test_no_part_of_an_event_may_be_other_than_utf_8(part: bytes) -> None:
    """Not even one that is unknown, and so ignored."""
    assert verdict(b'{"user_id":"u","time_ms":1,' + part + b"}") == "malformed"


@given(st.binary(max_size=200))
def test_no_record_raises(value: bytes) -> None:
    assert isinstance(decode(value, b"u", 0, 0, RULES), Event | InvalidRecord)


@given(st.text(min_size=1, max_size=128))
def test_an_event_survives_its_encoding(user: str) -> None:
    event = Event(user, 5, event_id="e", duration_ms=0, query="ü\0")
    try:
        key = key_of(user)
    except UnicodeEncodeError:
        return
    assert decode(encode(event), key, 0, 0, RULES) == event


def test_a_time_is_measured_against_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never against a clock: the same record is judged alike on any day."""
    value = encode(Event("u", RULES.max_ahead_ms + 10))
    assert isinstance(decode(value, b"u", 0, 10, RULES), Event)
    found = decode(value, b"u", 0, 9, RULES)
    assert isinstance(found, InvalidRecord) and found.reason == "time_ahead"


def test_shards_are_kafkas() -> None:
    for length in range(40):
        data = os.urandom(length)
        assert murmur2(data) == kafkas_murmur2(data) & 0xFFFFFFFF
        assert shard_of(data, 7) == (kafkas_murmur2(data) & 0x7FFFFFFF) % 7


def test_another_partition_is_refused() -> None:
    """A user in two shards would have two owners for one row."""
    rules = Rules(partitions=4)
    home = shard_of(b"u", 4)
    reasons = [decode(encode(Event("u", 1)), b"u", part, 0, rules) for part in range(4)]
    assert [isinstance(found, Event) for found in reasons] == [part == home for part in range(4)]


FIRST = {"partitions": 4, "duplicate_window": 100_000, "max_ahead_ms": 86_400_000, "max_event_bytes": 262_144}
"""All rules that 0.1.0 knew, with its defaults."""


def test_rules_of_a_version_that_knew_fewer_have_what_it_did() -> None:
    """Whatever their order; all are given back, to be stored."""
    whole = FIRST | {"isolation": "read_committed"}
    for stored in (FIRST, whole, dict(reversed(whole.items())), {"partitions": 4}):
        assert completed("somewhere", stored, Rules(partitions=4)) == whole


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (FIRST | {"partitions": 5}, "partitions"),
        (FIRST | {"duplicate_window": 99}, "duplicate_window"),
        (FIRST | {"isolation": "read_uncommitted"}, "isolation"),
        (FIRST | {"of a later version": 1}, "of a later version"),
        ({}, "partitions"),
    ],
)
def test_other_rules_are_refused_and_named(stored: dict[str, object], says: str) -> None:
    with pytest.raises(RulesDiffer, match=says) as caught:
        completed("the warehouse", stored, Rules(partitions=4))
    assert "the warehouse" in str(caught.value)


def test_the_rules_are_those_of_the_settings() -> None:
    asked = Settings(partitions=7, duplicate_window=50, max_ahead_ms=60)
    assert Rules.of(asked) == Rules(7, duplicate_window=50, max_ahead_ms=60)
    assert Rules.of(Settings()) == Rules(Settings().partitions)
