"""A shard's own state, and the scripts by which only its owner writes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import redis

from segmenter.settings import Settings
from segmenter.shards import row as row_fields
from segmenter.shards.state import Batch, Change, ShardState, decode_state, encode_offsets, encode_state
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

FEED_LENGTH = 100_000
"""About how many changes a shard's feed keeps."""

Argument = bytes | str | int

JUMP = 10_000
"""By how much the number of changes jumps after a script that failed half-way: more than one script can tell of."""

Answer = Literal["ok", "done", "stolen", "rolled back", "superseded"]
"""A script's answer: written now, written before, owned by another, gone back in time, judged by an old generation."""


def open_shard(client: redis.Redis, settings: Settings, shard: int) -> ShardState:
    """Become the owner of a shard: whoever owned it can write no more."""
    token = secrets.token_hex(8)
    with reaching(client):
        flat = cast("list[bytes]", script(client, "open")(keys=[Keys(settings.key_prefix).shard(shard)], args=[token]))
    return decode_state(dict(zip(flat[::2], flat[1::2], strict=True)))


def read_shards(client: redis.Redis, settings: Settings) -> dict[int, ShardState]:
    """The state of every shard that has one."""
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        for shard in range(settings.partitions):
            pipeline.hgetall(keys.shard(shard))
        found = pipeline.execute()
    return {shard: decode_state(fields) for shard, fields in enumerate(found) if fields}


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
    fields = encode_state(after)
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
