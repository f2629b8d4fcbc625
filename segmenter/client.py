"""Asking which segment a user is in, and how fresh the answer is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from segmenter import embedded
from segmenter.errors import Corrupt
from segmenter.events.rules import Rules
from segmenter.events.sharding import shard_of
from segmenter.kinds import Kind, catalogue
from segmenter.model.features import features
from segmenter.model.generation import name_of
from segmenter.model.profiles import decoder, fields
from segmenter.settings import load
from segmenter.store.connection import answers_of, connect
from segmenter.store.keys import Keys
from segmenter.store.meta import check, decode_rules, encoded_rules
from segmenter.store.models import decode_names

FIELDS = ("segment", "generation", "profile", "offsets")
"""The fields of a row that an answer is made of."""

UNKNOWN = "unknown"
"""The segment of a user without any event that counts."""


class Answer(msgspec.Struct, frozen=True):
    """What is known of one user."""

    user: str
    segment: str
    """The slug: one of the segments, ``unassigned`` before there are any, ``unknown`` for a user without events.

    A user whose row is corrupt is ``unknown``, and stale.
    """
    name: str
    """The segment's name for people."""
    features: dict[str, int | float | None]
    aggregates: dict[str, int]
    generation: int
    """The number of the generation that judged the user."""
    offsets: dict[str, int]
    """The last offset of each topic that these aggregates contain."""
    age_ms: int | None
    """How long ago the aggregates contained all that the log held; None if they never did."""
    stale: bool
    """Whether this age, or the time since the last heartbeat of the shard's worker, is above ``stale_after_ms``."""


class SegmentClient:
    """Looks users up in Redis: one user or a thousand, in one round trip.

    ``SegmentClient("redis://cache:6379/0")``, or ``SegmentClient()`` for the Redis of the settings in force.
    Other settings go by keyword. Raises `segmenter.errors.Unreachable` when Redis does not answer.
    """

    def __init__(self, redis_url: str | None = None, **settings: Any) -> None:
        self._settings = embedded.resolve(load(redis_url=redis_url, **settings), "redis_url")
        self._redis = connect(self._settings)
        self._keys = Keys(self._settings.key_prefix)
        self._encoded_rules: bytes | None = None
        self._rules = Rules.of(self._settings)
        """Those of the store or, before it has any, of the settings."""

    def lookup(self, user: str) -> Answer:
        """What is known of one user; an unknown user is not an error."""
        return self.lookup_many([user])[0]

    def lookup_many(self, users: Iterable[str]) -> list[Answer]:
        """What is known of each user, in the same order, in one round trip."""
        asked = [(user, user.encode(errors="surrogatepass")) for user in users]  # text that is not an id is unknown
        if self._encoded_rules is None:
            check(self._redis, self._settings)
            self._learn(encoded_rules(self._redis, self._settings))
        shards = {key: shard_of(key, self._rules.partitions) for _, key in asked}
        wanted = sorted(set(shards.values()))
        # Shards before rows, the clock last: a row is at least as fresh as its age says. Rows before rules: these have
        # all kinds that a row has.
        pipeline = self._redis.pipeline(transaction=False)
        for shard in wanted:
            pipeline.hmget(self._keys.shard(shard), "beat_ms", "caught_up_ms")
        for _, key in asked:
            pipeline.hmget(self._keys.user(key), FIELDS)
        pipeline.hget(self._keys.meta(), "rules")
        pipeline.hget(self._keys.model(), "names")
        pipeline.time()
        *found, rules, stored_names, (seconds, microseconds) = answers_of(self._redis, pipeline)
        self._learn(rules)
        now_ms = seconds * 1000 + microseconds // 1000
        names = decode_names(stored_names)
        fresh = {shard: self._freshness(beats, now_ms) for shard, beats in zip(wanted, found, strict=False)}
        rows = found[len(wanted) :]
        return [
            _answer(user, row, self._rules.kinds, names, *fresh[shards[key]])
            for (user, key), row in zip(asked, rows, strict=True)
        ]

    def close(self) -> None:
        """Release the connections."""
        self._redis.close()

    def __enter__(self) -> SegmentClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _learn(self, encoded: bytes | Corrupt | None) -> None:
        """Follow the rules of the store: kinds may be added."""
        if isinstance(encoded, bytes) and encoded != self._encoded_rules:
            self._rules, self._encoded_rules = decode_rules(self._settings, encoded), encoded

    def _freshness(self, beats: list[bytes | None] | Corrupt, now_ms: int) -> tuple[int | None, bool]:
        try:
            if isinstance(beats, Corrupt):
                return None, True
            beat, caught_up = [int(at or 0) for at in beats]
        except ValueError:
            return None, True
        if not beat or not caught_up:
            return None, True
        age = now_ms - caught_up
        return age, max(age, now_ms - beat) > self._settings.stale_after_ms


def _answer(
    user: str,
    row: list[bytes | None] | Corrupt,
    kinds: tuple[Kind, ...],
    names: Mapping[str, str],
    age_ms: int | None,
    stale: bool,
) -> Answer:
    unknown = Answer(user, UNKNOWN, "Unknown", {}, {}, 0, {}, age_ms, stale)
    if row == [None] * len(FIELDS):
        return unknown
    try:
        if isinstance(row, Corrupt):
            raise row
        segment, generation, profile, offsets = [value or b"" for value in row]
        slug = segment.decode()
        aggregates = dict(zip(fields(kinds), decoder(kinds)(profile), strict=True))
        return Answer(
            user,
            slug,
            names.get(slug) or name_of(slug),
            features(aggregates, catalogue(kinds)),
            aggregates,
            int(generation),
            msgspec.json.decode(offsets, type=dict[str, int]),
            age_ms,
            stale,
        )
    except (ValueError, KeyError, OverflowError, Corrupt):
        return msgspec.structs.replace(unknown, stale=True)
