"""New generations: a step from the census, a refit on a sample of the users, or a name set by hand."""

from __future__ import annotations

import hashlib
import heapq
import math
import signal
import time
from collections.abc import Mapping

import numpy as np
import structlog

from segmenter import logs
from segmenter.errors import SegmenterError, UsageError
from segmenter.model.census import Census, merged, without_values
from segmenter.model.folding import vectors_of
from segmenter.model.generation import PROVISIONAL_USERS, Generation, space_of
from segmenter.model.kmeans import judge
from segmenter.model.ranks import renamed
from segmenter.model.segments import judging_by, refitted, successor, unfit
from segmenter.settings import Settings
from segmenter.shards.state import ShardState
from segmenter.store.agreement import unless_kinds_added
from segmenter.store.connection import Store, connect
from segmenter.store.meta import open_store
from segmenter.store.models import publish, read_model
from segmenter.store.rows import read_stored_rows, scan_users
from segmenter.store.shards import read_shards

SAMPLE = 20_000
"""The most users that a fit looks at."""

FIRST_USERS_A_SEGMENT = 4
"""How many users for each segment a worker waits for before it looks for the first segments."""

STEP_MARGIN = 0.001
"""The share of the inertia that a step must save to be worth judging everyone again; a step moves few users."""

REFIT_MARGIN = 0.02
"""The same for a refit, which may move many."""

PROVISIONAL_MARGIN = 0.001
"""The same for a refit of a provisional model, which has few to move."""

log = structlog.get_logger()


def step(store: Store, shards: Mapping[int, ShardState], generation: Generation, now_ms: int) -> bool:
    """Publish the next Lloyd step if every shard is judged by ``generation`` and it is worth it.

    A provisional model is soon refitted: it takes only the steps that put its slugs in order.
    """
    if not _settled(store.settings, shards, generation):
        return False
    census = merged(state.census for state in shards.values())  # settled: all in the space of the generation
    margin = math.inf if generation.provisional else STEP_MARGIN
    following = successor(census, generation, store.settings.segments, margin, now_ms)
    return following is not None and _publish(store, following, generation)


def refit_is_due(
    settings: Settings, shards: Mapping[int, ShardState], generation: Generation | None, last_tried: int
) -> bool:
    """Whether there are many more users than at the last fit, or the model is unfit for them.

    ``last_tried`` is the number of users at the last fit that was tried, adopted or not.
    """
    users, asked = population_of(shards), len(settings.segments)
    if generation is None:
        return users >= next_fit(0, asked)
    if users >= next_fit(max(last_tried, generation.fitted_population), asked):
        return True
    if users < 1.5 * last_tried or not _settled(settings, shards, generation):
        return False
    return unfit(merged(state.census for state in shards.values()), generation, settings.segments)


def next_fit(users: int, asked: int) -> int:
    """The number of users at which the fit after one to ``users`` is due: half as many more, from 300 on twice as many.

    >>> [next_fit(users, asked=3) for users in (0, 12, 100, 270, 300, 1_000)]
    [12, 18, 150, 300, 600, 2000]
    """
    if users >= PROVISIONAL_USERS:
        return 2 * users
    return min(PROVISIONAL_USERS, max(FIRST_USERS_A_SEGMENT * asked, users + users // 2))


def population_of(shards: Mapping[int, ShardState]) -> int:
    """How many users the shards have counted."""
    return sum(tally.users for state in shards.values() for tally in state.census.values())


def refit_now(settings: Settings, now_ms: int) -> tuple[bool, int]:
    """`refit`, and the number of the current generation after it, 0 if there is none."""
    with open_store(settings, writing=True) as store:
        adopted = refit(store, now_ms)
        current = read_model(store.client, settings)
    return adopted, current.number if current else 0


def refit(store: Store, now_ms: int, wanted: tuple[str, ...] = ()) -> bool:
    """Fit afresh, and publish if that is better by a margin than what is current. False if nothing was published.

    If these ``wanted`` are other features than those of the current model, it is published in any case. Raises `Fenced`
    if kinds were added meanwhile.
    """
    before = read_model(store.client, store.settings)
    shards = read_shards(store.client, store.settings)
    number = before.number if before else 0
    with unless_kinds_added(store):
        profiles = sample(store, number)
    if not len(profiles):
        return False
    names = store.settings.segments
    features = wanted or (before.features if before else features_of(store.settings))
    points = vectors_of(profiles, features, store.settings.kinds)
    if before and features != before.features:
        slugs = judge(vectors_of(profiles, before.features, store.settings.kinds), before)
        users = population_of(shards)
        return _publish(store, judging_by(features, points, slugs, before, names, number, now_ms, users), before)
    census = _census(shards, before)
    margin = PROVISIONAL_MARGIN if before and before.provisional else REFIT_MARGIN
    following = refitted(points, census, before, names, number, now_ms, margin, features)
    return following is not None and _publish(store, following, before)


def _census(shards: Mapping[int, ShardState], generation: Generation | None) -> Census:
    """The census of all; without values while there are users whose vectors are made of other features."""
    space = space_of(generation)
    total = merged(state.counted_in(space).census for state in shards.values())
    complete = all(state.generation >= space.since for state in shards.values())
    return total if complete else without_values(total, len(space.features))


def features_of(settings: Settings) -> tuple[str, ...]:
    """The names of the features by which users are to be judged."""
    return tuple([feature.name for feature in settings.judging])


def refit_process(settings: Settings, wanted: tuple[str, ...]) -> None:
    """`refit`, as the target of a child process. Its exit code is not 0 if the refit failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this process
    logs.setup(settings.log_level)
    try:
        refit(Store(connect(settings), settings), time.time_ns() // 1_000_000, wanted)
    except SegmenterError as error:
        log.warning("a refit failed", reason=str(error))
        raise SystemExit(error.exit_code) from None


def sample(store: Store, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The profiles of the users with the lowest hashes of seed and id: the same users for every caller, in any order.

    Rows that cannot be read are left out; their shards say so.
    """
    lowest: list[tuple[int, bytes, tuple[int, ...]]] = []
    salt = seed.to_bytes(8, "big")
    for users in scan_users(*store):
        for row in [each.row for each in read_stored_rows(*store, users).values() if each.row]:
            hashed = -int.from_bytes(hashlib.blake2b(row.user, digest_size=8, salt=salt).digest(), "big")
            keep = heapq.heappush if len(lowest) < SAMPLE else heapq.heappushpop
            keep(lowest, (hashed, row.user, row.profile))
    return np.array([profile for _, _, profile in sorted(lowest, reverse=True)], dtype=np.int64)


def rename(settings: Settings, slug: str, name: str, now_ms: int) -> Generation:
    """Publish the current generation with another name for the segment with this slug, and return it.

    Raises `UsageError` if there is no such segment, for a name that is not allowed, and if another generation is
    published meanwhile.
    """
    with open_store(settings, writing=True) as store:
        before = read_model(store.client, settings)
        if before is None:
            raise UsageError("there are no segments yet.")
        following = renamed(before, slug, name, settings.segments, now_ms)
        if not _publish(store, following, before):
            raise UsageError("another generation was published at the same moment: try again.")
    return following


def _settled(settings: Settings, shards: Mapping[int, ShardState], generation: Generation) -> bool:
    """Whether every user has been judged by ``generation``."""
    return len(shards) == settings.partitions and all(
        state.generation == generation.number for state in shards.values()
    )


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
