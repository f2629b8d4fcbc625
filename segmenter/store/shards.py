"""Shards in Redis: acquiring, committing, heartbeats, and their audiences. Only the owner of a shard writes to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

import msgspec
import redis

from segmenter.errors import Corrupt, OwnershipLost
from segmenter.model.profiles import fields as fields_of_profile
from segmenter.settings import Settings
from segmenter.shards import row as row_fields
from segmenter.shards.state import (
    UNKNOWN_SHARD,
    Change,
    Commit,
    Known,
    ShardState,
    decode_state,
    encode_offsets,
    encode_state,
)
from segmenter.store.connection import answers_of, reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

FEED_LENGTH = 100_000
"""About how many changes a shard's feed keeps."""

JUMP = 10_000
"""By how much the number of changes jumps after a script that failed half-way: more than one script can write."""

Argument = bytes | str | int

Outcome = Literal["ok", "done", "not owner", "rolled back", "superseded"]
"""A script's answer: written now, written before, another owner, Redis lost writes, judged by an old generation."""


class StoredShard(NamedTuple):
    """A shard as it is found, valid or not."""

    state: ShardState
    """What cannot be read of it is zero or empty."""
    corrupt: Corrupt | None
    """What is wrong, None if all of it can be read."""
    unreadable: dict[str, bytes]
    """The fields that cannot be read, and their values; none if the key is of another type."""

    @property
    def problem(self) -> str | None:
        """What is wrong, in words that follow the number of the shard; None if nothing is."""
        if self.state.parked:
            return f"is parked: {self.state.parked}"
        return f"is corrupt: {self.corrupt}" if self.corrupt else None


def new_token() -> str:
    """A random name for an owner."""
    return secrets.token_hex(8)


def acquire_shard(
    client: redis.Redis, settings: Settings, shard: int, token: str | None = None, group_number: str | None = None
) -> ShardState:
    """Become the owner of a shard, as ``token``: the owner before can no longer write.

    Raises `Corrupt`; and `OwnershipLost` if the workers no longer are in the group of this number, unless it is None.
    """
    keys = Keys(settings.key_prefix)
    arguments = [token or new_token(), "any" if group_number is None else group_number]
    with reaching(client):
        flat = cast("list[bytes]", script(client, "acquire")(keys=[keys.shard(shard), keys.meta()], args=arguments))
    if not flat:
        raise OwnershipLost("the workers have moved to another group")
    return _sound(_stored(shard, dict(zip(flat[::2], flat[1::2], strict=True))))


def read_shards(client: redis.Redis, settings: Settings) -> dict[int, ShardState]:
    """The state of every shard that has one. Raises `Corrupt`."""
    return {shard: _sound(stored) for shard, stored in read_stored_shards(client, settings).items()}


def read_stored_shards(
    client: redis.Redis, settings: Settings, partitions: int | None = None
) -> dict[int, StoredShard]:
    """Every shard that has a state, as it is found, of so many (default: as many as the settings say)."""
    keys = Keys(settings.key_prefix)
    pipeline = client.pipeline(transaction=False)
    for shard in range(partitions or settings.partitions):
        pipeline.hgetall(keys.shard(shard))
    return {shard: _stored(shard, fields) for shard, fields in enumerate(answers_of(client, pipeline)) if fields}


def _stored(shard: int, fields: dict[bytes, bytes] | Corrupt) -> StoredShard:
    if isinstance(fields, Corrupt):
        return StoredShard(UNKNOWN_SHARD, Corrupt(f"the key of shard {shard} in Redis is of another type"), {})
    state, unreadable = decode_state(fields)
    names = " and ".join(unreadable)
    corrupt = Corrupt(f"{names} of shard {shard} in Redis cannot be read") if unreadable else None
    return StoredShard(state, corrupt, unreadable)


def _sound(stored: StoredShard) -> ShardState:
    if stored.corrupt:
        raise stored.corrupt
    return stored.state


def park_shard(client: redis.Redis, settings: Settings, shard: int, token: str, why: str) -> bool:
    """Mark a shard as parked, and say why; False if ``token`` is not the owner. Raises `Corrupt`."""
    with reaching(client):
        answer = script(client, "park")(keys=[Keys(settings.key_prefix).shard(shard)], args=[token, why])
    return bool(answer == b"ok")


def parked_owners(client: redis.Redis, settings: Settings, shards: Iterable[int]) -> dict[int, bytes | None]:
    """The tokens of the owners of those shards that are still parked; None if a shard's key is of another type."""
    keys, asked = Keys(settings.key_prefix), list(shards)
    pipeline = client.pipeline(transaction=False)
    for shard in asked:
        pipeline.hmget(keys.shard(shard), "token", "parked")
    answers = dict(zip(asked, answers_of(client, pipeline), strict=True))
    return {
        shard: None if isinstance(answer, Corrupt) else answer[0]
        for shard, answer in answers.items()
        if isinstance(answer, Corrupt) or answer[1]
    }


def commit_shard(
    client: redis.Redis,
    settings: Settings,
    shard: int,
    before: ShardState,
    commit: Commit,
    digest: str,
    stored_offsets: bytes | None = None,
) -> tuple[Outcome, ShardState]:
    """Make a commit, judged by the generation of ``digest`` ('' for none), on a shard last seen as ``before``.

    ``stored_offsets`` are those in Redis if they are not what ``before`` says, since they cannot be read. Returns the
    outcome and the state of the shard afterwards, which holds if the outcome is ``ok`` or ``done``.
    """
    keys = Keys(settings.key_prefix)
    reported = [change for change in commit.changes if change.cause != "recount"]
    feed = before.feed + (JUMP if before.dirty else 0)
    missing = 0 if commit.after.dirty else before.version - before.begun
    begun = before.begun + 1 + missing
    after = commit.after._replace(version=before.version + 1, begun=begun, feed=feed + len(reported))
    audiences = sorted({slug for change in commit.changes for slug in (change.before, change.after) if slug})
    fields = encode_state(after)
    offsets = encode_offsets(before.offsets) if stored_offsets is None else stored_offsets
    arguments: list[Argument] = [before.token, before.version, after.version, offsets]
    arguments += [digest, len(audiences), FEED_LENGTH, len(fields), len(commit.rows), before.begun, missing]
    for name, value in fields.items():
        arguments += [name, value]
    names_of_fields = fields_of_profile(settings.kinds)
    for row in commit.rows:
        arguments += row_fields.encode(row, names_of_fields)
    for slug in audiences:
        arguments += _members(commit.changes, slug)
    arguments += _entries(reported, commit, feed)
    names: list[str | bytes] = [keys.shard(shard), keys.model(), keys.feed(shard)]
    names += [keys.audience(shard, slug) for slug in audiences]
    names += [keys.user(row.user) for row in commit.rows] + [keys.user(row.user) for row in commit.removed]
    with reaching(client):
        answer = cast("bytes", script(client, "commit")(keys=names, args=arguments))
    return cast("Outcome", answer.decode()), after


def heartbeat(
    client: redis.Redis,
    settings: Settings,
    shards: Mapping[int, tuple[ShardState, int | None]],
    asked_ms: int | None,
    wanted: Settings | None = None,
) -> dict[int, Outcome | Corrupt]:
    """Send the owner's heartbeat of each shard, with the state last seen.

    With it goes the latest moment of which the shard holds all that its log did then, None if there is no news of that.
    ``asked_ms`` is when Kafka was asked where the log ends, None if it did not answer. Both are by Redis' clock.
    ``wanted`` is what the owner is set up for.
    """
    keys = Keys(settings.key_prefix)
    pipeline = client.pipeline(transaction=False)
    asked = "" if asked_ms is None else asked_ms
    for shard, (state, caught_up_ms) in shards.items():
        caught_up = "" if caught_up_ms is None else caught_up_ms
        known = "" if wanted is None else encode_known(state.token, wanted)
        arguments: list[Argument] = [state.token, state.version, asked, caught_up, state.begun, known]
        script(client, "heartbeat")(keys=[keys.shard(shard)], args=arguments, client=pipeline)
    answers = answers_of(client, pipeline)
    return {
        shard: answer if isinstance(answer, Corrupt) else answer.decode()
        for shard, answer in zip(shards, answers, strict=True)
    }


def encode_known(token: str, wanted: Settings) -> bytes:
    """What an owner with these settings knows, as its shards say it."""
    features = tuple([feature.name for feature in wanted.judging])
    return msgspec.json.encode(Known(token, wanted.kinds, features))


def members(client: redis.Redis, settings: Settings, shard: int, segment: str) -> list[bytes]:
    """The users of one shard in one segment; complete for the owner, since only the owner moves them."""
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
    of_row: dict[bytes, tuple[int, Mapping[str, int]]] = {
        row.user: (row.generation, row.offsets) for row in commit.rows
    }
    of_row |= {row.user: (row.generation, row.offsets) for row in commit.removed}
    entries: list[Argument] = []
    for number, change in enumerate(changes, feed + 1):
        generation, offsets = of_row[change.user]
        entries += [number, change.user, change.before or "", change.after or "", change.cause]
        entries += [generation, encode_offsets(offsets)]
    return entries
