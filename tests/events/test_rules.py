"""The verdict on a record depends on the record and the rules alone."""

from __future__ import annotations

import json
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as kafkas_murmur2

from segmenter.errors import NewerVersion, RulesDiffer
from segmenter.events import (
    MAX_AMOUNT,
    Event,
    InvalidRecord,
    PricedEvent,
    Rules,
    agreeing,
    decode,
    encode,
    key_of,
    measure_of,
    type_of,
)
from segmenter.events.rules import MAX_NESTING
from segmenter.events.sharding import murmur2, shard_of
from segmenter.kinds import BUILT_IN, DEFAULT, Kind
from segmenter.settings import Settings
from tests.defaults import CLICK, SEARCH, VIEW

RULES = Rules(partitions=1)
PURCHASE, SOCIAL = BUILT_IN["purchase"], BUILT_IN["social"]
each_kind = pytest.mark.parametrize("kind", BUILT_IN.values(), ids=list(BUILT_IN))


def nested(depth: int) -> bytes:
    """An event with an unknown field of brackets within brackets; the event itself is one of them."""
    return b'{"user_id":"u","time_ms":1,"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def verdict(value: bytes | None, frames: int = 0) -> str:
    """The reason, or ``event``, asked from so many calls deeper."""
    if frames:
        return verdict(value, frames - 1)
    found = decode(value, b"u", CLICK, 0, 0, RULES)
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


@each_kind
@given(value=st.binary(max_size=200))
def test_no_record_raises(kind: Kind, value: bytes) -> None:
    assert isinstance(decode(value, b"u", kind, 0, 0, RULES), Event | InvalidRecord)


@given(st.text(min_size=1, max_size=128), st.integers(-MAX_AMOUNT, MAX_AMOUNT))
def test_an_event_survives_its_encoding(user: str, amount: int) -> None:
    event = Event(user, 5, event_id="e", duration_ms=0, query="ü\0")
    priced = PricedEvent(user, 5, item_id="i", amount=amount, currency="EUR")
    try:
        key = key_of(user)
    except UnicodeEncodeError:
        return
    assert decode(encode(event), key, CLICK, 0, 0, RULES) == event
    assert decode(encode(priced), key, PURCHASE, 0, 0, msgspec.structs.replace(RULES, currency="EUR")) == priced


def test_each_kind_measures_its_own_and_nothing_else() -> None:
    """The time that a search took counts nowhere, nor does the price of a view; 0 is measured, and a refund is, too."""
    stated = {"user_id": "u", "time_ms": 1, "duration_ms": 0, "amount": -5}

    def measured(kind: Kind, fields: dict[str, object]) -> int | None:
        event = decode(json.dumps(fields).encode(), b"u", kind, 0, 0, RULES)
        assert type(event) is type_of(kind)
        return measure_of(event, kind)

    found = {kind.name: measured(kind, stated) for kind in BUILT_IN.values()}
    assert found == {"click": 0, "search": None, "view": 0, "purchase": -5, "social": None}
    assert {measured(kind, {"user_id": "u", "time_ms": 1}) for kind in BUILT_IN.values()} == {None}


def test_a_time_is_measured_against_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never against a clock: the same record is judged alike on any day."""
    value = encode(Event("u", RULES.max_ahead_ms + 10))
    assert isinstance(decode(value, b"u", CLICK, 0, 10, RULES), Event)
    found = decode(value, b"u", CLICK, 0, 9, RULES)
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
    reasons = [decode(encode(Event("u", 1)), b"u", CLICK, part, 0, rules) for part in range(4)]
    assert [isinstance(found, Event) for found in reasons] == [part == home for part in range(4)]


FIRST = {"partitions": 4, "duplicate_window": 100_000, "max_ahead_ms": 86_400_000, "max_event_bytes": 262_144}
"""All rules that 0.1.0 knew, with its defaults."""


def stored(rules: Rules) -> dict[str, object]:
    """Rules as a part gives them back."""
    found: dict[str, object] = json.loads(msgspec.json.encode(rules))
    return found


def test_rules_of_a_version_that_knew_fewer_have_what_it_did() -> None:
    """Whatever their order; all are given back, to be stored."""
    whole = stored(Rules(partitions=4))
    assert whole.keys() == FIRST.keys() | {"isolation", "kinds", "currency"}
    for found in (FIRST, whole, dict(reversed(whole.items())), {"partitions": 4}):
        rules = agreeing("somewhere", found, Rules(partitions=4))
        assert stored(rules) == whole
    assert (rules.isolation, rules.kinds, rules.currency) == ("read_committed", (CLICK, SEARCH, VIEW), "")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (FIRST | {"partitions": 5}, "partitions is 5 there and 4 here"),
        (FIRST | {"duplicate_window": 99}, "duplicate_window is 99 there and 100000 here"),
        (FIRST | {"isolation": "read_uncommitted"}, "isolation"),
        ({}, "differ: partitions is missing there and 4 here"),
        ({"max_ahead_ms": 5}, "differ: partitions is missing there and 4 here"),
    ],
)
def test_other_rules_are_refused_and_named(found: dict[str, object], says: str) -> None:
    with pytest.raises(RulesDiffer, match=says) as caught:
        agreeing("the warehouse", found, Rules(partitions=4))
    assert "the warehouse" in str(caught.value) and "Kinds may be added" not in str(caught.value)


def test_a_rule_of_a_later_version_is_refused_and_named() -> None:
    with pytest.raises(NewerVersion, match=r"the warehouse is of a newer version: .* \(of a later version\)"):
        agreeing("the warehouse", FIRST | {"of a later version": 1}, Rules(partitions=4))
    click = msgspec.to_builtins(CLICK)
    with pytest.raises(NewerVersion, match=r"the warehouse is of a newer version: .*'weight' - at `\$\.kinds\[0\]"):
        agreeing("the warehouse", FIRST | {"kinds": [click | {"measure": "weight"}]}, Rules(partitions=4))


def test_kinds_may_be_added() -> None:
    """With their currency, wherever they stand; what is stored stays in force."""
    few = Rules(partitions=4, kinds=(SEARCH, VIEW))
    more = Rules(partitions=4, kinds=(*DEFAULT, PURCHASE), currency="EUR")
    all_ = Rules(partitions=4, kinds=tuple(BUILT_IN.values()), currency="EUR")
    for before, after in ((few, more), (few, all_), (more, all_), (all_, all_)):
        assert agreeing("somewhere", stored(before), after) == before
    assert agreeing("somewhere", FIRST, all_) == Rules(partitions=4)


def test_who_only_looks_may_lack_kinds_but_not_know_others() -> None:
    """It is told what is stored; what it does know must be the same."""
    more = Rules(partitions=4, kinds=(*DEFAULT, PURCHASE), currency="EUR")
    for kinds in ((SEARCH,), (*DEFAULT, SOCIAL)):
        assert agreeing("somewhere", stored(more), Rules(partitions=4, kinds=kinds), may_lack_kinds=True) == more
    with pytest.raises(RulesDiffer, match="the kind view"):
        agreeing("somewhere", stored(more), Rules(partitions=4, kinds=(SEARCH, OTHER)), may_lack_kinds=True)


OTHER = Kind("view", "views", "views", "none")


@pytest.mark.parametrize(
    ("kinds", "currency", "says"),
    [
        (DEFAULT, "", "the kind purchase is plural purchases, topic purchases, measure amount there and missing here"),
        ((*DEFAULT, SOCIAL), "", "the kind purchase"),
        (
            (CLICK, SEARCH, OTHER, PURCHASE),
            "EUR",
            "the kind view is .* measure duration there and .* measure none here",
        ),
        ((*DEFAULT, PURCHASE), "USD", "currency is EUR there and USD here"),
        ((*DEFAULT, PURCHASE, SOCIAL), "USD", "currency is EUR there and USD here"),
    ],
    ids=["taken away", "exchanged", "changed", "another currency", "another currency beside a new kind"],
)
def test_kinds_are_not_taken_away_or_changed(kinds: tuple[Kind, ...], currency: str, says: str) -> None:
    before = stored(Rules(partitions=4, kinds=(*DEFAULT, PURCHASE), currency="EUR"))
    with pytest.raises(RulesDiffer, match=says) as caught:
        agreeing("the warehouse", before, Rules(partitions=4, kinds=kinds, currency=currency))
    assert ("Kinds may be added, not taken away or changed" in str(caught.value)) is ("kind" in says)
    assert "kinds is" not in str(caught.value)


def test_the_rules_are_those_of_the_settings() -> None:
    asked = Settings(partitions=7, duplicate_window=50, max_ahead_ms=60)
    assert Rules.of(asked) == Rules(7, duplicate_window=50, max_ahead_ms=60)
    assert Rules.of(Settings()) == Rules(Settings().partitions)


def test_the_currency_is_a_rule_only_where_there_are_amounts() -> None:
    """So it may be set as one likes until then."""
    assert Rules.of(Settings(currency="USD")) == Rules.of(Settings())
    asked = Settings(kinds=(*DEFAULT, PURCHASE), currency="USD")
    assert (Rules.of(asked).currency, Rules.of(asked).kinds) == ("USD", (*DEFAULT, PURCHASE))
