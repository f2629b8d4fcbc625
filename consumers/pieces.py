"""From the records of a shard to pieces that one commit can hold.

A piece is a run of records in each topic, cut where it would change more users than a commit should. What its
records hold is read here: events, repeats of an event id, and records that are no events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from segmenter.events import TOPICS, Event, Refusal, Rules, decode, key_of
from segmenter.folding import NO_DURATION
from segmenter.topics import Record

OFFSET_BYTES, DIGEST_BYTES = 8, 16
ENTRY_BYTES = OFFSET_BYTES + DIGEST_BYTES
BUCKET_ENTRIES = 8
"""How many entries of a full duplicate window share one string of bytes, on average."""


class Applied(NamedTuple):
    """One event that counts, reduced to what a profile needs."""

    user: int
    """Index into the piece's users."""
    topic: str
    offset: int
    kind: str
    time_ms: int
    duration_ms: int


@dataclass
class Piece:
    """What one commit applies."""

    offsets: dict[str, int]
    """The next offset to apply of each topic, after this piece."""
    users: dict[bytes, int] = field(default_factory=dict)
    events: list[Applied] = field(default_factory=list)
    duplicates: int = 0
    refused: list[tuple[Record, Refusal]] = field(default_factory=list)


class Seen:
    """Where each (user, event id) of a shard was last seen, as far back as the duplicate window reaches.

    A record is a duplicate when the one before it with the same user and event id, in the same topic and
    partition, is at most ``window`` offsets older, whether or not that one counted.

    User and event id are known by a digest of 128 bits: that two in a window have the same one is as good as excluded.
    Offset and digest are kept in 24 bytes, a few entries to a string of bytes, oldest first: as Python objects a
    million of them would take 300 MB.

    >>> seen = Seen(window=10, offsets={"views": 0})
    >>> [seen.again("views", b"u42", "e1", offset) for offset in (0, 10, 21)]
    [False, True, False]
    """

    def __init__(self, window: int, offsets: Mapping[str, int]) -> None:
        self._window = window
        self.next = {topic: offset - window for topic, offset in offsets.items()}
        """The next offset to look at, by topic; it begins a window before the next offset to apply."""
        self._buckets = {topic: [b""] * (window // BUCKET_ENTRIES + 1) for topic in offsets}
        self._horizon = dict.fromkeys(offsets, bytes(OFFSET_BYTES))

    def again(self, topic: str, user: bytes, event_id: str, offset: int) -> bool:
        """Remember that the event was seen here, and tell whether it is a duplicate."""
        digest = blake2b(user + b"\xff" + event_id.encode(), digest_size=DIGEST_BYTES).digest()  # no UTF-8 has 0xff
        buckets = self._buckets[topic]
        number = int.from_bytes(digest[:OFFSET_BYTES]) % len(buckets)
        entries = buckets[number]
        if entries[:OFFSET_BYTES] < self._horizon[topic]:
            entries = entries[ENTRY_BYTES:]
        at = entries.find(digest)
        before = -1
        if at > 0:
            before = int.from_bytes(entries[at - OFFSET_BYTES : at])
            entries = entries[: at - OFFSET_BYTES] + entries[at + DIGEST_BYTES :]
        buckets[number] = entries + offset.to_bytes(OFFSET_BYTES) + digest
        return at > 0 and offset - before <= self._window

    def forget(self, offsets: Mapping[str, int]) -> None:
        """No record before ``offsets`` comes any more: what none can repeat makes room for the next."""
        self._horizon = {
            topic: max(0, offset - self._window).to_bytes(OFFSET_BYTES) for topic, offset in offsets.items()
        }


def cut(
    records: Iterable[Record],
    offsets: Mapping[str, int],
    topic_prefix: str,
    seen: Seen,
    rules: Rules,
    most_users: int,
) -> Iterator[Piece]:
    """The pieces of a shard's records, which go on at ``offsets``; earlier ones are only remembered.

    Topics go without ``topic_prefix`` from here on. ``seen`` moves along: it fits the offsets again once every
    piece has been taken.
    """
    piece = Piece(dict(offsets))
    plain = {topic_prefix + topic: topic for topic in TOPICS}
    for record in records:
        topic = plain[record.topic]
        if record.offset < seen.next[topic]:
            continue
        seen.next[topic] = record.offset + 1
        verdict = decode(record.value, record.key, record.partition, record.timestamp, rules)
        if record.offset < piece.offsets[topic]:
            if isinstance(verdict, Event) and verdict.event_id is not None:
                seen.again(topic, key_of(verdict.user_id), verdict.event_id, record.offset)
            continue
        if isinstance(verdict, Refusal):
            piece.refused.append((record, verdict))
        else:
            user = key_of(verdict.user_id)
            event_id = verdict.event_id
            if event_id is not None and seen.again(topic, user, event_id, record.offset):
                piece.duplicates += 1
            else:
                if user not in piece.users and len(piece.users) == most_users:
                    yield piece
                    piece = Piece(dict(piece.offsets))
                piece.events.append(_applied(piece, user, verdict, topic, record.offset))
        piece.offsets[topic] = record.offset + 1
    seen.forget(piece.offsets)
    if piece.offsets != dict(offsets):
        yield piece


def _applied(piece: Piece, user: bytes, event: Event, topic: str, offset: int) -> Applied:
    index = piece.users.setdefault(user, len(piece.users))
    duration = NO_DURATION if event.duration_ms is None else event.duration_ms
    return Applied(index, topic, offset, TOPICS[topic], event.time_ms, duration)
