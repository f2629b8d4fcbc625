"""The state of a shard, what one commit writes, and how both are encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from segmenter.model import census as censuses
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


class ShardState(NamedTuple):
    """What the hash of a shard in Redis says."""

    token: str
    """Random; it names the present owner."""
    version: int
    """How many writes there have been."""
    dirty: bool
    """A script failed half-way: census and audiences must be recounted from the rows."""
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
    """When the owner last had read all that the log lets be read, by Redis' clock."""
    log_seen_ms: int = 0
    """When Kafka last told the owner where the log ends, by Redis' clock."""
    committed_ms: int = 0
    """When the last commit was, by Redis' clock."""
    fenced: int = 0
    """How many writes and heartbeats were fenced since the shard began: of a former owner, or after lost writes."""


class Change(NamedTuple):
    """The move of one user from one segment to another."""

    user: bytes
    before: str | None
    """None: the user was in no segment."""
    after: str | None
    """None: the user is in no segment any more."""
    cause: Literal["behaviour", "model", "repair", "recount"]
    """A recount corrects audiences only; it is not told in the change feed."""


class Commit(NamedTuple):
    """All that one call of the commit script writes."""

    rows: Sequence[Row]
    changes: Sequence[Change]
    after: ShardState
    """The shard as it is to be afterwards; the commit itself counts up ``version`` and ``feed``."""
    removed: Sequence[bytes] = ()
    """Users whose rows are removed."""


def encode_offsets(offsets: Mapping[str, int] | None) -> bytes:
    """Offsets as they are stored, the same bytes for the same offsets; empty for none."""
    return b"" if offsets is None else msgspec.json.encode(offsets, order="deterministic")


def encode_state(state: ShardState) -> dict[str, bytes | str | int]:
    """The fields of a shard's hash that a commit writes; the script writes the version."""
    return {
        "dirty": "1" if state.dirty else "",
        "offsets": encode_offsets(state.offsets),
        "topic_ids": msgspec.json.encode(state.topic_ids, order="deterministic"),
        "census": censuses.encode(state.census),
        "counts": msgspec.json.encode(state.counts),
        "generation": state.generation,
        "feed": state.feed,
    }


def decode_state(fields: Mapping[bytes, bytes]) -> ShardState:
    """The state that a shard's hash holds; a field that is not there yet is zero or empty."""
    offsets = fields.get(b"offsets", b"")
    return ShardState(
        token=fields[b"token"].decode(),
        version=int(fields[b"version"]),
        dirty=fields.get(b"dirty", b"") != b"",
        offsets=msgspec.json.decode(offsets, type=dict[str, int]) if offsets else None,
        topic_ids=msgspec.json.decode(fields.get(b"topic_ids", b"{}"), type=dict[str, str]),
        census=censuses.decode(fields.get(b"census", b"{}")),
        counts=msgspec.json.decode(fields.get(b"counts", b"{}"), type=Counts),
        generation=int(fields.get(b"generation", 0)),
        feed=int(fields.get(b"feed", 0)),
        beat_ms=int(fields.get(b"beat_ms", 0)),
        caught_up_ms=int(fields.get(b"caught_up_ms", 0)),
        log_seen_ms=int(fields.get(b"log_seen_ms", 0)),
        committed_ms=int(fields.get(b"committed_ms", 0)),
        fenced=int(fields.get(b"fenced", 0)),
    )
