"""New generations: a step from the census, or a refit on a sample of the users."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping

import numpy as np
import structlog

from segmenter.model.census import merged
from segmenter.model.generation import Generation
from segmenter.model.kmeans import successor
from segmenter.model.segments import refitted
from segmenter.settings import Settings
from segmenter.shards.state import ShardState
from segmenter.store.connection import Store
from segmenter.store.meta import open_store
from segmenter.store.models import publish, read_model
from segmenter.store.rows import read_stored_rows, scan_users
from segmenter.store.shards import read_shards

SAMPLE = 20_000
"""The most users that a fit looks at."""

BOOTSTRAP_USERS = 300
"""How many users a worker waits for before it looks for the first segments."""

STEP_MARGIN = 0.001
"""The share of the inertia that a step must save to be worth judging everyone anew; a step moves few users."""

REFIT_MARGIN = 0.02
"""The same for a refit, which may move many."""

log = structlog.get_logger()


def step(store: Store, shards: Mapping[int, ShardState], generation: Generation, now_ms: int) -> bool:
    """Publish the next Lloyd step if every shard is judged by ``generation`` and it is worth it."""
    settled = len(shards) == store.settings.partitions
    if not settled or any(state.generation != generation.number for state in shards.values()):
        return False
    following = successor(merged(state.census for state in shards.values()), generation, STEP_MARGIN, now_ms)
    return following is not None and _publish(store, following, generation)


def refit_is_due(shards: Mapping[int, ShardState], generation: Generation | None, last_tried: int) -> bool:
    """Whether the users have outgrown the last fit: there is none yet, or they have doubled since.

    ``last_tried`` is the number of users at the last fit that was tried, adopted or not.
    """
    users = population_of(shards)
    return users >= (BOOTSTRAP_USERS if generation is None else 2 * max(last_tried, generation.fitted_population))


def population_of(shards: Mapping[int, ShardState]) -> int:
    """How many users the shards have counted."""
    return sum(tally.users for state in shards.values() for tally in state.census.values())


def refit_now(settings: Settings, now_ms: int) -> tuple[bool, int]:
    """`refit`, and the number of the current generation after it, 0 if there is none."""
    with open_store(settings, writing=True) as store:
        adopted = refit(store, now_ms)
        current = read_model(store.client, settings)
    return adopted, current.number if current else 0


def refit(store: Store, now_ms: int) -> bool:
    """Fit afresh, and publish if that is better by a margin than what is current. False if nothing was published."""
    before = read_model(store.client, store.settings)
    shards = read_shards(store.client, store.settings)
    number = before.number if before else 0
    vectors = sample(store, number)
    if not len(vectors):
        return False
    census = merged(state.census for state in shards.values())
    following = refitted(vectors, census, before, store.settings.segments, number, now_ms, REFIT_MARGIN)
    return following is not None and _publish(store, following, before)


def sample(store: Store, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The vectors of the users with the lowest hashes of seed and id: the same users whoever asks, in any order.

    Rows that cannot be read are left out; their shards say so.
    """
    lowest: list[tuple[int, bytes, tuple[int, ...]]] = []
    salt = seed.to_bytes(8, "big")
    for users in scan_users(*store):
        for row in [each.row for each in read_stored_rows(*store, users).values() if each.row]:
            hashed = -int.from_bytes(hashlib.blake2b(row.user, digest_size=8, salt=salt).digest(), "big")
            keep = heapq.heappush if len(lowest) < SAMPLE else heapq.heappushpop
            keep(lowest, (hashed, row.user, row.vector))
    return np.array([vector for _, _, vector in sorted(lowest, reverse=True)], dtype=np.int64)


def _publish(store: Store, following: Generation, before: Generation | None) -> bool:
    published = publish(store.client, store.settings, following, before)
    if published:
        log.info(
            "new generation",
            generation=following.number,
            cause=following.cause,
            gain=round(following.gain, 4),
            users=following.population,
        )
    return published
