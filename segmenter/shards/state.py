"""The state of a shard, what one commit writes, and how both are encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from segmenter.kinds import DEFAULT_FEATURES, Kind
from segmenter.model import census as censuses
from segmenter.model.generation import NO_SPACE, Space
from segmenter.shards.row import Row


class Counts(msgspec.Struct, frozen=True):
    """What became of the records of a shard from ``begins`` on, below its offsets; each is counted once.

    ``folded`` and ``duplicates`` together are the raw rows of the warehouse there. Invalid records are in no raw row,
    so a repair leaves ``dead_letters`` as they were: without those before the first record that a worker has read.
    """

    folded: int = 0
    """Events that count: those that are in the rows."""
    duplicates: int = 0
    dead_letters: dict[str, int] = {}
    """Invalid records, by reason."""
    begins: dict[str, int] = {}
    """The first offset that is counted, by topic, where it is not 0: the log had lost what was before."""

    def plus(self, folded: int, duplicates: int, dead_letters: Mapping[str, int]) -> Counts:
        """These counts and some more."""
        reasons = sorted(self.dead_letters.keys() | dead_letters.keys())
        summed = {reason: self.dead_letters.get(reason, 0) + dead_letters.get(reason, 0) for reason in reasons}
        return Counts(self.folded + folded, self.duplicates + duplicates, summed, self.begins)


class Known(msgspec.Struct, frozen=True):
    """What the owner of a shard is set up for: what it knows, and may not use yet."""

    token: str
    """Of the owner who said so."""
    kinds: tuple[Kind, ...]
    features: tuple[str, ...]
    """Those by which it wants users to be judged."""


class ShardState(NamedTuple):
    """What the hash of a shard in Redis says."""

    token: str
    """Random; it names the present owner."""
    version: int
    """How many writes there have been."""
    begun: int
    """How many writes have begun, each counted as it begins. If it is not the version, one was left half-way."""
    offsets: dict[str, int] | None
    """The next offset to apply, by topic; None before the first commit."""
    topic_ids: dict[str, str]
    """The topics that the offsets belong to."""
    census: censuses.Census
    counts: Counts
    generation: int
    """The generation by which every row of the shard has been judged."""
    feed: int
    """The running number of the last change."""
    beat_ms: int
    """When the owner last sent a heartbeat, by Redis' clock."""
    caught_up_ms: int
    """The latest moment of which the owner has read all that could then be read of the log, by Redis' clock."""
    log_seen_ms: int = 0
    """When Kafka last answered the owner where the log ends, by Redis' clock."""
    committed_ms: int = 0
    """When the last commit was, by Redis' clock."""
    fenced: int = 0
    """How many writes and heartbeats were fenced since the shard began: of a former owner, or after lost writes."""
    parked: str = ""
    """Why the shard is parked until somebody repairs it; empty if it is not."""
    space: Space = NO_SPACE
    """What the vectors in the census are made of."""
    acquired_ms: int = 0
    """When the owner acquired it, by Redis' clock."""
    known: Known | None = None
    """What the owner, or one before, has said that it knows."""

    @property
    def dirty(self) -> bool:
        """Whether a write was left half-way: census and audiences must be recounted from the rows."""
        return self.begun != self.version

    def counted_in(self, space: Space) -> ShardState:
        """The state with a census in this space. From another one, only the number of users remains."""
        if self.space == space:
            return self
        return self._replace(space=space, census=censuses.without_values(self.census, len(space.features)))

    def recounted(self) -> ShardState:
        """The state with a census and audiences that fit the rows."""
        return self._replace(begun=self.version)


class Change(NamedTuple):
    """The move of one user from one segment to another."""

    user: bytes
    before: str | None
    """None: the user was in no segment."""
    after: str | None
    """None: the user is in no segment any more."""
    cause: Literal["behaviour", "model", "repair", "recount"]
    """A recount corrects audiences only; it is not in the change feed."""


class Removed(NamedTuple):
    """A row that is removed, and how far its user had come; nothing is known of a row that cannot be read."""

    user: bytes
    generation: int = 0
    offsets: Mapping[str, int] = {}


class Commit(NamedTuple):
    """All that one call of the commit script writes."""

    rows: Sequence[Row]
    changes: Sequence[Change]
    after: ShardState
    """The shard as it is to be afterwards; the commit itself counts up ``version`` and ``feed``."""
    removed: Sequence[Removed] = ()


def encode_offsets(offsets: Mapping[str, int] | None) -> bytes:
    """Offsets as they are stored, the same bytes for the same offsets; empty for none."""
    return b"" if offsets is None else msgspec.json.encode(offsets, order="deterministic")


def encode_state(state: ShardState) -> dict[str, bytes | str | int]:
    """The fields of a shard's hash that a commit writes; the script writes the version."""
    return {
        "offsets": encode_offsets(state.offsets),
        "topic_ids": msgspec.json.encode(state.topic_ids, order="deterministic"),
        "census": censuses.encode(state.census),
        "counts": msgspec.json.encode(state.counts),
        "generation": state.generation,
        "feed": state.feed,
        "parked": state.parked,
        "space": msgspec.json.encode(state.space),
    }


def decode_state(fields: Mapping[bytes, bytes]) -> tuple[ShardState, dict[str, bytes]]:
    """The state that a shard's hash holds, and the fields that cannot be read, with their values.

    Such a field, like one that is not there yet, is zero or empty in the state.
    """
    found: dict[str, Any] = {}
    unreadable: dict[str, bytes] = {}
    for name, decode in _DECODE.items():
        value = fields.get(name.encode(), b"")
        try:
            if value:
                found[name] = decode(value)
        except ValueError:
            unreadable[name] = value
    if b"census" in fields and b"space" not in fields:  # written by 0.1.0, of which the features were fixed
        found["space"] = Space(DEFAULT_FEATURES, 0)
    if "offsets" in found and "topic_ids" in found and found["offsets"].keys() != found["topic_ids"].keys():
        unreadable["offsets"] = fields[b"offsets"]
    features = found.get("space", NO_SPACE).features
    if any(len(tally.present) != len(features) for tally in found.get("census", {}).values()):
        unreadable["census"] = fields[b"census"]
    found = {name: value for name, value in found.items() if name not in unreadable}
    if b"begun" not in fields:  # written by 0.1.0, whose first write set a mark that its last one removed
        found["begun"] = found.get("version", 0) + (fields.get(b"dirty") == b"1")
    return UNKNOWN_SHARD._replace(**found), unreadable


def _number(stored: bytes) -> int:
    return msgspec.json.decode(stored, type=int)


def _offsets(stored: bytes) -> dict[str, int]:
    return msgspec.json.decode(stored, type=dict[str, Annotated[int, msgspec.Meta(ge=0)]])


def _census(stored: bytes) -> censuses.Census:
    census = censuses.decode(stored)
    lengths = {len(numbers) for tally in census.values() for numbers in (tally.present, tally.sums, tally.squares)}
    if len(lengths) > 1 or not all(tally.is_possible() for tally in census.values()):
        raise ValueError("no users add up to this")
    return census


def _known(stored: bytes) -> Known | None:
    """Only advice: what cannot be read, as that of a newer version, counts as nothing."""
    try:
        return msgspec.json.decode(stored, type=Known)
    except ValueError:
        return None


_DECODE: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(ShardState._fields, _number),
    "token": bytes.decode,
    "offsets": _offsets,
    "topic_ids": lambda stored: msgspec.json.decode(stored, type=dict[str, str]),
    "census": _census,
    "counts": lambda stored: msgspec.json.decode(stored, type=Counts),
    "parked": bytes.decode,
    "known": _known,
    "space": lambda stored: msgspec.json.decode(stored, type=Space),
}
"""How each field of `ShardState` is decoded; ValueError if it cannot be."""

UNKNOWN_SHARD = ShardState("", 0, 0, None, {}, {}, Counts(), 0, 0, 0, 0)
"""A shard of which Redis knows nothing."""
