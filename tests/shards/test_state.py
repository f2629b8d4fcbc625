"""What a shard's hash says: read as it was written; what cannot be read is told apart, field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.model.census import Tally
from segmenter.shards.state import UNKNOWN_SHARD, Counts, ShardState, decode_state, encode_offsets, encode_state

OFFSETS = {"clickstream": 5, "searches": 0, "views": 7}
STATE = ShardState(
    token="t",
    version=4,
    begun=4,
    offsets=OFFSETS,
    topic_ids={"views": "a", "clickstream": "b", "searches": "c"},
    census={"low": Tally(2, (2, 2, 1, 0), (5, 0, 7, 0), (13, 0, 49, 0))},
    counts=Counts(9, 2, {"malformed": 1}, {"views": 3}),
    generation=3,
    feed=12,
    beat_ms=1_000,
    caught_up_ms=900,
    log_seen_ms=800,
    committed_ms=700,
    fenced=1,
    parked="a reason",
)
reasons = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=4)


def stored(state: ShardState) -> dict[bytes, bytes]:
    """The hash as Redis gives it back: what a commit writes, and what the script and the heartbeats do."""
    written = encode_state(state) | {name: getattr(state, name) for name in ("token", "version", "begun", "fenced")}
    written |= {name: getattr(state, name) for name in state._fields if name.endswith("_ms")}
    return {name.encode(): each if isinstance(each, bytes) else str(each).encode() for name, each in written.items()}


def test_a_state_survives_its_encoding() -> None:
    assert decode_state(stored(STATE)) == (STATE, {})


def test_the_fields_are_as_they_are_documented() -> None:
    fields = stored(STATE)
    assert json.loads(fields[b"offsets"]) == OFFSETS
    assert json.loads(fields[b"topic_ids"]) == STATE.topic_ids
    assert json.loads(fields[b"census"]) == {"low": [2, [2, 2, 1, 0], [5, 0, 7, 0], [13, 0, 49, 0]]}
    assert json.loads(fields[b"counts"]) == {
        "folded": 9, "duplicates": 2, "dead_letters": {"malformed": 1}, "begins": {"views": 3}
    }  # fmt: skip
    assert (fields[b"generation"], fields[b"feed"], fields[b"parked"]) == (b"3", b"12", b"a reason")


def test_the_same_offsets_are_the_same_bytes() -> None:
    """The script compares them."""
    turned = dict(reversed(OFFSETS.items()))
    assert encode_offsets(turned) == encode_offsets(OFFSETS) and encode_offsets(None) == b""
    ids = dict(reversed(STATE.topic_ids.items()))
    assert encode_state(STATE._replace(topic_ids=ids))["topic_ids"] == encode_state(STATE)["topic_ids"]


def test_a_shard_that_redis_does_not_know_is_empty() -> None:
    nothing, unreadable = decode_state({})
    assert (nothing, unreadable) == (UNKNOWN_SHARD, {})
    assert nothing.offsets is None and not nothing.dirty and nothing.census == {} and nothing.counts == Counts()


SPOILT = {
    "token": [b"\xff"],
    "version": [b"x", b"1.5", b"\xff"],
    "begun": [b"x"],
    "offsets": [
        b"x",
        b"[]",
        b'{"views":1}',
        b'{"clickstream":1,"searches":0,"views":-1}',
        b'{"clickstream":1,"searches":0,"views":1,"x":1}',
        b'{"clickstream":1,"searches":0,"views":1.5}',
    ],
    "topic_ids": [b"x", b'{"views":1}'],
    "census": [
        b"x",
        b'{"low":[1,[1,1,1],[1,1,1],[1,1,1]]}',
        b'{"low":[1,[1,1,1,1],[1,1,1],[1,1,1,1]]}',
        b'{"low":[1,[1,1,1,1],[1,1,1,1],[1,1,1,1,1]]}',
        b'{"low":[1,[2,1,1,1],[1,1,1,1],[1,1,1,1]]}',
        b'{"low":[-1,[0,0,0,0],[0,0,0,0],[0,0,0,0]]}',
        b'{"low":[1,[1,1,1,1],[3,1,1,1],[1,1,1,1]]}',
    ],
    "counts": [b"x", b'{"folded":"5"}'],
    "generation": [b"x"],
    "feed": [b"1e1"],
    "beat_ms": [b"null"],
    "caught_up_ms": [b"x"],
    "log_seen_ms": [b"x"],
    "committed_ms": [b"x"],
    "fenced": [b"true"],
    "parked": [b"\xff"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SPOILT.items() for value in values])
def test_a_field_that_cannot_be_read_is_named_and_the_others_are_read(name: str, value: bytes) -> None:
    found, unreadable = decode_state(stored(STATE) | {name.encode(): value})
    assert unreadable == {name: value}
    assert found == STATE._replace(**{name: getattr(UNKNOWN_SHARD, name)})


def test_several_fields_that_cannot_be_read_are_all_named() -> None:
    spoilt = {name: values[0] for name, values in SPOILT.items()}
    found, unreadable = decode_state({name.encode(): value for name, value in spoilt.items()})
    assert (found, unreadable) == (UNKNOWN_SHARD, spoilt)


def test_an_empty_field_is_one_that_is_not_there() -> None:
    empty, unreadable = decode_state({name.encode(): b"" for name in SPOILT})
    assert (empty, unreadable) == (UNKNOWN_SHARD, {})


@pytest.mark.parametrize(("mark", "dirty"), [({}, False), ({b"dirty": b"1"}, True), ({b"dirty": b"0"}, False)])
def test_a_write_that_the_first_version_left_half_way_is_seen(mark: Mapping[bytes, bytes], dirty: bool) -> None:
    fields = stored(STATE) | mark
    del fields[b"begun"]
    found, _ = decode_state(fields)
    assert (found.dirty, found.version) == (dirty, 4)
    assert found.recounted() == STATE
    unversioned, _ = decode_state(mark)
    assert unversioned.dirty == dirty


@pytest.mark.parametrize("begun", [3, 5])
def test_a_write_that_was_left_half_way_is_seen(begun: int) -> None:
    found, _ = decode_state(stored(STATE._replace(begun=begun)))
    assert found.dirty and not found.recounted().dirty
    assert found.recounted() == STATE


@given(st.integers(0, 9), st.integers(0, 9), reasons, reasons)
def test_counts_add_up(folded: int, duplicates: int, before: dict[str, int], more: dict[str, int]) -> None:
    """Reason by reason, in the order of their names; where the shard begins stays."""
    added = Counts(5, 6, before, {"views": 3}).plus(folded, duplicates, more)
    assert (added.folded, added.duplicates, added.begins) == (5 + folded, 6 + duplicates, {"views": 3})
    assert list(added.dead_letters.items()) == [
        (reason, before.get(reason, 0) + more.get(reason, 0)) for reason in sorted({*before, *more})
    ]
