"""What cannot be read of a shard: keys of another type than they must be, and fields of the shard's hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import redis

from segmenter.errors import Fenced
from segmenter.settings import Settings
from segmenter.store.connection import reaching
from segmenter.store.keys import Keys
from segmenter.store.scripts import script

BEGINS_AGAIN = ("offsets", "topic_ids", "counts")
"""Without its offsets, or the topics these belong to, a shard is read from the log's beginning, and counted again."""


def mistyped(
    client: redis.Redis, settings: Settings, slugs: Mapping[int, Iterable[str]]
) -> dict[int, dict[str, tuple[str, str]]]:
    """The keys of shards that are of another type: the type they have, and the one they must have.

    ``slugs`` holds those of the audiences of each shard. The rows of users are not looked at.
    """
    types = {shard: _types(settings, shard, of_shard) for shard, of_shard in slugs.items()}
    with reaching(client):
        pipeline = client.pipeline(transaction=False)
        for of_shard in types.values():
            for key in of_shard:
                pipeline.type(key)
        answers = iter(cast("list[bytes]", pipeline.execute()))
    found = {shard: {key: (next(answers).decode(), right) for key, right in of.items()} for shard, of in types.items()}
    return {
        shard: {key: (is_now, right) for key, (is_now, right) in of_shard.items() if is_now not in ("none", right)}
        for shard, of_shard in found.items()
    }


def discard(
    client: redis.Redis, settings: Settings, shard: int, slugs: Iterable[str], unreadable: Mapping[str, bytes]
) -> None:
    """Remove the mistyped keys of a shard and the unreadable fields. Raises `Fenced` if these have changed."""
    types = _types(settings, shard, slugs)
    fields = dict(unreadable)
    if not unreadable.keys().isdisjoint(("offsets", "topic_ids")):
        fields = dict.fromkeys(BEGINS_AGAIN, b"") | fields
    pairs = [part for pair in fields.items() for part in pair]
    with reaching(client):
        answer = script(client, "discard")(keys=list(types), args=[*types.values(), *pairs])
    if answer != b"ok":
        raise Fenced(f"shard {shard} has changed")


def last_change(client: redis.Redis, settings: Settings, shard: int) -> int:
    """The running number of the newest entry in a shard's feed; 0 if there is none."""
    with reaching(client):
        newest = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", client.xrevrange(Keys(settings.key_prefix).feed(shard), count=1)
        )
    number = newest[0][1].get(b"n", b"") if newest else b""
    return int(number) if number.isdigit() else 0


def _types(settings: Settings, shard: int, slugs: Iterable[str]) -> dict[str, str]:
    """The keys of a shard, the hash first, and the type that each must have."""
    keys = Keys(settings.key_prefix)
    types = {keys.shard(shard): "hash", keys.feed(shard): "stream", keys.commands(shard): "list"}
    return types | {keys.audience(shard, slug): "set" for slug in slugs}
