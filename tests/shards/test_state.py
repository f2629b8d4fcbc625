"""What a shard's hash says: read as it was written; what cannot be read is told apart, field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.kinds import DEFAULT
from segmenter.model.census import Tally
from segmenter.model.generation import NO_SPACE, Space
from segmenter.shards.state import (
    UNKNOWN_SHARD,
    Counts,
    Known,
    ShardState,
    decode_state,
    encode_offsets,
    encode_state,
)
from tests.defaults import NAMES

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
    space=Space(NAMES, 2),
    known=Known("t", DEFAULT, NAMES),
)
reasons = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=4)


def stored(state: ShardState) -> dict[bytes, bytes]:
    """The hash as Redis gives it back: what a commit writes, and what the script and the heartbeats do."""
    written = encode_state(state) | {name: getattr(state, name) for name in ("token", "version", "begun", "fenced")}
    written |= {name: getattr(state, name) for name in state._fields if name.endswith("_ms")}
    written["known"] = msgspec.json.encode(state.known)
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
    assert json.loads(fields[b"space"]) == [list(NAMES), 2]


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
    "space": [b"x", b"[]", b'[["a"]]', b'[["a"],"1"]', b'["a",1]'],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SPOILT.items() for value in values])
def test_a_field_that_cannot_be_read_is_named_and_the_others_are_read(name: str, value: bytes) -> None:
    """A census means nothing without its space."""
    fields = stored(STATE) | {name.encode(): value}
    lost = [name, "census"] if name == "space" else [name]
    found, unreadable = decode_state(fields)
    assert unreadable == {each: fields[each.encode()] for each in lost}
    assert found == STATE._replace(**{each: getattr(UNKNOWN_SHARD, each) for each in lost})


@pytest.mark.parametrize("features", [(), ("a",), (*NAMES, "a")])
def test_a_census_of_another_length_than_its_space_cannot_be_read(features: tuple[str, ...]) -> None:
    other = STATE._replace(space=Space(features, 2))
    found, unreadable = decode_state(stored(other))
    assert unreadable == {"census": stored(other)[b"census"]}
    assert found == other._replace(census={})


def test_before_the_first_generation_a_census_counts_users_only() -> None:
    state = STATE._replace(census={"unassigned": Tally(2, (), (), ())}, generation=0, space=NO_SPACE)
    assert decode_state(stored(state)) == (state, {})
    assert json.loads(stored(state)[b"census"]) == {"unassigned": [2, [], [], []]}


@pytest.mark.parametrize("said", [b"x", b"[]", b'{"token":"t"}', b'{"token":"t","kinds":[7],"features":[]}'])
def test_what_an_owner_knows_is_only_advice(said: bytes) -> None:
    """That of a newer version counts as nothing, and spoils nothing."""
    assert decode_state({b"known": said}) == (UNKNOWN_SHARD, {})


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
    del fields[b"begun"], fields[b"space"]
    found, unreadable = decode_state(fields)
    assert (found.dirty, found.version, unreadable) == (dirty, 4, {})
    assert found.recounted() == STATE._replace(space=Space(NAMES, 0)), "its features were fixed"
    unversioned, _ = decode_state(mark)
    assert unversioned.dirty == dirty


@pytest.mark.parametrize("begun", [3, 5])
def test_a_write_that_was_left_half_way_is_seen(begun: int) -> None:
    found, _ = decode_state(stored(STATE._replace(begun=begun)))
    assert found.dirty and not found.recounted().dirty
    assert found.recounted() == STATE


@pytest.mark.parametrize("space", [NO_SPACE, Space(("a",), 4), Space(NAMES, 4), Space(NAMES[::-1], 2)])
def test_in_another_space_only_the_users_remain(space: Space) -> None:
    """Also if the features are the same, but were left and taken up again since."""
    none = (0,) * len(space.features)
    assert STATE.counted_in(space) == STATE._replace(space=space, census={"low": Tally(2, none, none, none)})
    assert STATE.counted_in(STATE.space) == STATE


@given(st.integers(0, 9), st.integers(0, 9), reasons, reasons)
def test_counts_add_up(folded: int, duplicates: int, before: dict[str, int], more: dict[str, int]) -> None:
    """Reason by reason, in the order of their names; where the shard begins stays."""
    added = Counts(5, 6, before, {"views": 3}).plus(folded, duplicates, more)
    assert (added.folded, added.duplicates, added.begins) == (5 + folded, 6 + duplicates, {"views": 3})
    assert list(added.dead_letters.items()) == [
        (reason, before.get(reason, 0) + more.get(reason, 0)) for reason in sorted({*before, *more})
    ]
