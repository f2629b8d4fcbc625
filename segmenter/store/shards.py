"""Shards in Redis: acquiring, committing, heartbeats, and their audiences. Only the owner of a shard writes to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import redis

from segmenter.settings import Settings
from segmenter.shards import row as row_fields
from segmenter.shards.state import Change, Commit, ShardState, decode_state, encode_offsets, encode_state
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

FEED_LENGTH = 100_000
"""About how many changes a shard's feed keeps."""

JUMP = 10_000
"""By how much the number of changes jumps after a script that failed half-way: more than one script can write."""

Argument = bytes | str | int

Outcome = Literal["ok", "done", "not owner", "rolled back", "superseded"]
"""A script's answer: written now, written before, another owner, Redis lost writes, judged by an old generation."""


def acquire_shard(client: redis.Redis, settings: Settings, shard: int) -> ShardState:
    """Become the owner of a shard: the owner before can write no more."""
    token = secrets.token_hex(8)
    with reaching(client):
        flat = cast(
            "list[bytes]", script(client, "acquire")(keys=[Keys(settings.key_prefix).shard(shard)], args=[token])
        )
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


def commit_shard(
    client: redis.Redis, settings: Settings, shard: int, before: ShardState, commit: Commit, digest: str
) -> tuple[Outcome, ShardState]:
    """Make a commit, judged by the generation of ``digest`` ('' for none), on a shard last seen as ``before``.

    Returns the outcome and the state of the shard afterwards, which holds if the outcome is ``ok`` or ``done``.
    """
    keys = Keys(settings.key_prefix)
    told = [change for change in commit.changes if change.cause != "recount"]
    feed = before.feed + (JUMP if before.dirty else 0)
    after = commit.after._replace(version=before.version + 1, feed=feed + len(told))
    audiences = sorted({slug for change in commit.changes for slug in (change.before, change.after) if slug})
    fields = encode_state(after)
    arguments: list[Argument] = [before.token, before.version, after.version, encode_offsets(before.offsets)]
    arguments += [digest, len(audiences), FEED_LENGTH, len(fields), len(commit.rows)]
    for name, value in fields.items():
        arguments += [name, value]
    for row in commit.rows:
        arguments += row_fields.encode(row)
    for slug in audiences:
        arguments += _members(commit.changes, slug)
    arguments += _entries(told, commit, feed)
    names: list[str | bytes] = [keys.shard(shard), keys.model(), keys.feed(shard)]
    names += [keys.audience(shard, slug) for slug in audiences]
    names += [keys.user(row.user) for row in commit.rows] + [keys.user(user) for user in commit.removed]
    with reaching(client):
        answer = cast("bytes", script(client, "commit")(keys=names, args=arguments))
    return cast("Outcome", answer.decode()), after


def heartbeat(
    client: redis.Redis, settings: Settings, shards: Mapping[int, tuple[ShardState, bool]], asked_ms: int | None
) -> dict[int, Outcome]:
    """Send the owner's heartbeat of each shard, with the state last seen and whether its log was read to the end.

    ``asked_ms`` is how long ago the log was asked where it ends, None if it did not answer.
    """
    keys = Keys(settings.key_prefix)
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        asked = "" if asked_ms is None else asked_ms
        for shard, (state, at_end) in shards.items():
            arguments: list[Argument] = [state.token, state.version, asked, "1" if at_end else ""]
            script(client, "heartbeat")(keys=[keys.shard(shard)], args=arguments, client=pipeline)
        answers = pipeline.execute()
    return {shard: answer.decode() for shard, answer in zip(shards, answers, strict=True)}


def members(client: redis.Redis, settings: Settings, shard: int, segment: str) -> list[bytes]:
    """The users of one shard in one segment; complete for the owner, who alone moves them."""
    with reaching(client):
        found = client.sscan_iter(Keys(settings.key_prefix).audience(shard, segment), count=1_000)
        return list(cast("dict[bytes, None]", dict.fromkeys(found)))  # a scan may repeat a member


def audiences(client: redis.Redis, settings: Settings, shards: Iterable[int]) -> dict[int, list[str]]:
    """The slugs of all audiences of these shards, by shard."""
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


def _entries(changes: Sequence[Change], commit: Commit, feed: int) -> list[Argument]:
    by_user = {row.user: (row.generation, row.offsets) for row in commit.rows}
    entries: list[Argument] = []
    for number, change in enumerate(changes, feed + 1):
        generation, offsets = by_user.get(change.user, (commit.after.generation, {}))
        entries += [number, change.user, change.before or "", change.after or "", change.cause]
        entries += [generation, encode_offsets(offsets)]
    return entries
