"""A shard's own state, and the scripts by which only its owner writes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

import msgspec
import redis

from segmenter import census as censuses
from segmenter.settings import Settings
from segmenter.store import rows as row_fields
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.rows import Row
from segmenter.store.scripts import script

FEED_LENGTH = 100_000
"""About how many changes a shard's feed keeps."""

JUMP = 10_000
"""By how much the number of changes jumps after a script that failed half-way: more than one script can tell of."""

Answer = Literal["ok", "done", "stolen", "rolled back", "superseded"]
"""A script's answer: written now, written before, owned by another, gone back in time, judged by an old generation."""

Argument = bytes | str | int


class Counts(msgspec.Struct, frozen=True):
    """How many records of a shard ended as what, since its beginning; each is counted once."""

    folded: int = 0
    duplicates: int = 0
    dead_letters: dict[str, int] = {}

    def plus(self, folded: int, duplicates: int, dead_letters: Mapping[str, int]) -> Counts:
        """These counts and some more."""
        reasons = sorted(self.dead_letters.keys() | dead_letters.keys())
        summed = {reason: self.dead_letters.get(reason, 0) + dead_letters.get(reason, 0) for reason in reasons}
        return Counts(self.folded + folded, self.duplicates + duplicates, summed)


class ShardState(NamedTuple):
    """What a shard's hash says."""

    token: str
    """The random word of its present owner."""
    version: int
    """How many writes there have been."""
    dirty: bool
    """A script failed half-way: recount from the rows."""
    offsets: dict[str, int] | None
    """The next offset to apply, by topic; None before the first batch."""
    topic_ids: dict[str, str]
    """The topics that the offsets belong to."""
    census: censuses.Census
    counts: Counts
    generation: int
    """The generation by which every row of the shard has been judged."""
    feed: int
    """The running number of the last change."""
    beat_ms: int
    """When the owner last said that it sees this state, by Redis' clock."""
    caught_up_ms: int
    """When the owner last was at the end of the log, by Redis' clock."""
    log_seen_ms: int = 0
    """When Kafka last told the owner where the log ends, by Redis' clock."""
    committed_ms: int = 0
    """When the last commit was, by Redis' clock."""
    fenced: int = 0
    """How many writes and beats were refused since the shard began: of a former owner, or after lost writes."""


class Change(NamedTuple):
    """One user's move from one segment to another."""

    user: bytes
    before: str | None
    """None: was in none."""
    after: str | None
    """None: is in none any more."""
    cause: Literal["behaviour", "model", "repair", "recount"]
    """A recount mends audiences only; it is no news for the change feed."""


class Batch(NamedTuple):
    """All that one call of the commit script writes."""

    rows: Sequence[Row]
    changes: Sequence[Change]
    after: ShardState
    """The shard as it is to be afterwards; the commit itself counts up ``version`` and ``feed``."""
    removed: Sequence[bytes] = ()
    """Users whose rows go."""


def encode_offsets(offsets: Mapping[str, int] | None) -> bytes:
    """Offsets as they are stored, the same bytes for the same offsets; empty for none."""
    return b"" if offsets is None else msgspec.json.encode(offsets, order="deterministic")


def open_shard(client: redis.Redis, settings: Settings, shard: int) -> ShardState:
    """Become the owner of a shard: whoever owned it can write no more."""
    token = secrets.token_hex(8)
    with reaching(client):
        flat = cast("list[bytes]", script(client, "open")(keys=[Keys(settings.key_prefix).shard(shard)], args=[token]))
    return _decode(dict(zip(flat[::2], flat[1::2], strict=True)))


def read_shards(client: redis.Redis, settings: Settings) -> dict[int, ShardState]:
    """The state of every shard that has one."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        for shard in range(settings.partitions):
            pipeline.hgetall(keys.shard(shard))
        found = pipeline.execute()
    return {shard: _decode(fields) for shard, fields in enumerate(found) if fields}


def commit(
    client: redis.Redis, settings: Settings, shard: int, before: ShardState, batch: Batch, digest: str
) -> tuple[Answer, ShardState]:
    """Write a batch, judged by the generation of ``digest`` ('' for none), onto a shard last seen as ``before``.

    Answers what happened and, if it is ``ok`` or ``done``, the shard's state from now on.
    """
    keys = Keys(settings.key_prefix)
    told = [change for change in batch.changes if change.cause != "recount"]
    feed = before.feed + (JUMP if before.dirty else 0)
    after = batch.after._replace(version=before.version + 1, feed=feed + len(told))
    audiences = sorted({slug for change in batch.changes for slug in (change.before, change.after) if slug})
    fields = _encode(after)
    arguments: list[Argument] = [before.token, before.version, after.version, encode_offsets(before.offsets)]
    arguments += [digest, len(audiences), FEED_LENGTH, len(fields), len(batch.rows)]
    for name, value in fields.items():
        arguments += [name, value]
    for row in batch.rows:
        arguments += row_fields.encode(row)
    for slug in audiences:
        arguments += _members(batch.changes, slug)
    arguments += _entries(told, batch, feed)
    names: list[str | bytes] = [keys.shard(shard), keys.model(), keys.feed(shard)]
    names += [keys.audience(shard, slug) for slug in audiences]
    names += [keys.user(row.user) for row in batch.rows] + [keys.user(user) for user in batch.removed]
    with reaching(client):
        answer = cast("bytes", script(client, "commit")(keys=names, args=arguments))
    return cast("Answer", answer.decode()), after


def beat(
    client: redis.Redis, settings: Settings, shards: Mapping[int, tuple[ShardState, bool]], asked_ms: int | None
) -> dict[int, Answer]:
    """Say of each shard, as last seen, that its owner lives, and whether it was at the log's end.

    ``asked_ms`` is how long ago the log was asked where it ends, None if it did not answer.
    """
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        asked = "" if asked_ms is None else asked_ms
        for shard, (state, at_end) in shards.items():
            arguments: list[Argument] = [state.token, state.version, asked, "1" if at_end else ""]
            script(client, "beat")(keys=[keys.shard(shard)], args=arguments, client=pipeline)
        answers = pipeline.execute()
    return {shard: answer.decode() for shard, answer in zip(shards, answers, strict=True)}


def members(client: redis.Redis, settings: Settings, shard: int, segment: str) -> list[bytes]:
    """The users of one shard that are in one segment; complete for its owner, who alone moves them."""
    with reaching(client):
        found = client.sscan_iter(Keys(settings.key_prefix).audience(shard, segment), count=1_000)
        return list(cast("dict[bytes, None]", dict.fromkeys(found)))  # a scan may repeat a member


def audiences(client: redis.Redis, settings: Settings, shards: Iterable[int]) -> dict[int, list[str]]:
    """The slugs of every audience that these shards have, by shard."""
    prefix = Keys(settings.key_prefix).audiences()
    found: dict[int, list[str]] = {shard: [] for shard in shards}
    with reaching(client):
        for key in set(client.scan_iter(f"{prefix}*", count=1_000)):
            shard, _, slug = cast("bytes", key).decode().removeprefix(prefix).partition(":")
            if shard.isdigit() and int(shard) in found:
                found[int(shard)].append(slug)
    return found


def _members(changes: Sequence[Change], slug: str) -> list[Argument]:
    leaving = [change.user for change in changes if change.before == slug]
    joining = [change.user for change in changes if change.after == slug]
    return [len(leaving), *leaving, len(joining), *joining]


def _entries(changes: Sequence[Change], batch: Batch, feed: int) -> list[Argument]:
    by_user = {row.user: (row.generation, row.offsets) for row in batch.rows}
    entries: list[Argument] = []
    for number, change in enumerate(changes, feed + 1):
        generation, offsets = by_user.get(change.user, (batch.after.generation, {}))
        entries += [number, change.user, change.before or "", change.after or "", change.cause]
        entries += [generation, encode_offsets(offsets)]
    return entries


def _encode(state: ShardState) -> dict[str, Argument]:
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


def _decode(fields: Mapping[bytes, bytes]) -> ShardState:
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
