"""From the records of a shard to pieces that one commit can hold.

A piece is a run of records in each topic, cut where it would change more users than a commit should. What its
records hold is read here: events, repeats of an event id, and records that are no events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from segmenter.events import TOPICS, Event, Record, Refusal, Rules, decode, key_of
from segmenter.model.folding import NO_DURATION
from segmenter.shards.duplicates import Seen


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
