"""Batches: the records of a shard, decoded, and divided into what one commit applies.

A batch is a run of records in each topic. It ends where it would change more users than a commit should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from segmenter.events import Event, InvalidRecord, Record, Rules, decode, key_of, measure_of
from segmenter.kinds import Kind, by_topic
from segmenter.model.folding import NO_MEASURE
from segmenter.shards.duplicates import DuplicateWindow


class Applied(NamedTuple):
    """One event that counts, reduced to what a profile needs."""

    user: int
    """Index into the batch's users."""
    topic: str
    offset: int
    time_ms: int
    measure: int
    """What is measured, or `NO_MEASURE`."""


@dataclass
class Batch:
    """The records that one commit applies: events, duplicates and invalid records."""

    offsets: dict[str, int]
    """The next offset to apply of each topic, after this batch."""
    users: dict[bytes, int] = field(default_factory=dict)
    events: list[Applied] = field(default_factory=list)
    duplicates: int = 0
    invalid: list[tuple[Record, InvalidRecord]] = field(default_factory=list)


def batches_of(
    records: Iterable[Record],
    offsets: Mapping[str, int],
    topic_prefix: str,
    seen: DuplicateWindow,
    rules: Rules,
    commit_rows: int,
) -> Iterator[Batch]:
    """The batches of a shard's records from ``offsets`` on; of earlier records only the event ids are remembered.

    In a batch, topics go without ``topic_prefix``. ``seen`` is updated on the way. Asking for the next batch means that
    the one before is applied; until then its records are not settled.
    """
    batch = Batch(dict(offsets))
    kinds = {topic_prefix + topic: kind for topic, kind in by_topic(rules.kinds).items()}
    for record in records:
        kind = kinds[record.topic]
        topic = kind.topic
        if record.offset < seen.next[topic]:
            continue
        verdict = decode(record.value, record.key, kind, record.partition, record.timestamp, rules)
        event = verdict if isinstance(verdict, Event) else None
        user = key_of(event.user_id) if event else b""
        is_new = record.offset >= batch.offsets[topic]
        if is_new and event and user not in batch.users and len(batch.users) == commit_rows:
            yield batch
            seen.settle(batch.offsets)
            batch = Batch(dict(batch.offsets))
        seen.next[topic] = record.offset + 1
        event_id = event.event_id if event else None
        repeated = event_id is not None and seen.is_duplicate(topic, user, event_id, record.offset)
        if not is_new:
            continue
        if isinstance(verdict, InvalidRecord):
            batch.invalid.append((record, verdict))
        elif repeated:
            batch.duplicates += 1
        else:
            batch.events.append(_applied(batch, user, verdict, kind, record.offset))
        batch.offsets[topic] = record.offset + 1
    if batch.offsets != dict(offsets):
        yield batch
    seen.settle(batch.offsets)


def _applied(batch: Batch, user: bytes, event: Event, kind: Kind, offset: int) -> Applied:
    index = batch.users.setdefault(user, len(batch.users))
    measure = measure_of(event, kind)
    return Applied(index, kind.topic, offset, event.time_ms, NO_MEASURE if measure is None else measure)
