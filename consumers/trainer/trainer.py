"""The trainer: the generation that judges now, and the search for the next one."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import SpawnProcess

import numpy as np
import structlog

from consumers.trainer.refit import features_of, population_of, refit, refit_is_due, refit_process, step
from segmenter.errors import Corrupt
from segmenter.model.drift import Drift
from segmenter.model.generation import Generation, digest, space_of
from segmenter.model.kmeans import inertia
from segmenter.shards.row import Row
from segmenter.shards.state import ShardState
from segmenter.store.agreement import want_features
from segmenter.store.connection import Store
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards

PAUSE_SECONDS = 60.0
"""How long to wait after a refit that failed and, for drift, after a refit for drift."""

log = structlog.get_logger()


class Trainer:
    """The current generation, and at most one child process that looks for another by a refit."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._wanted = features_of(store.settings)
        self._clock = clock
        self._child: SpawnProcess | None = None
        self._fitting = 0
        self._tried = 0
        self._not_before = self._no_drift_before = -math.inf
        self._drift = Drift()
        self._drifted = False
        self.generation: Generation | None = None

    @property
    def idle(self) -> bool:
        """Whether no refit is going on."""
        return self._child is None or not self._child.is_alive()

    def refresh(self) -> bool:
        """Read the current generation; returns whether it differs from the one before."""
        current = read_model(self._store.client, self._store.settings)
        before, self.generation = self.generation, current
        if space_of(before) != space_of(current):
            self.rest()
        return (before and digest(before)) != (current and digest(current))

    def watch(self, rows: Sequence[Row]) -> None:
        """Watch how well the present centres fit users who have just been active."""
        if self.generation is not None and not self.generation.provisional and rows:
            found = self.generation
            vectors = np.array([row.vector for row in rows], dtype=np.int64)
            distance = inertia(vectors, found.centres, found.scale, found.fill) / len(rows)
            self._drifted |= self._drift.update(distance)

    def rest(self) -> None:
        """Forget what has been watched, since another worker looks for the next generation now, or by new features."""
        self._drift, self._drifted = Drift(), False

    def advance(self) -> None:
        """Look for the next generation: start a refit if one is due, else take a step if it is worth it."""
        if not self.idle:
            return
        if self._child is not None:
            self._check_child(self._child)
            return
        try:
            shards = read_shards(self._store.client, self._store.settings)
        except Corrupt:  # `segmenter status` says so
            return
        wanted = self._wanted if self._features_differ() else ()
        if self._clock() >= self._not_before and (wanted or self._refit_is_due(shards)):
            self._fitting = population_of(shards)
            self._child = multiprocessing.get_context("spawn").Process(
                target=refit_process, args=(self._store.settings, wanted), daemon=True
            )
            self._child.start()
        elif self.generation:
            step(self._store, shards, self.generation, now_ms())

    def _check_child(self, child: SpawnProcess) -> None:
        """See how a refit has ended; one that failed is tried again after a pause. What is next, the next call says."""
        code, self._child = child.exitcode, None
        after_pause = self._clock() + PAUSE_SECONDS
        if code:
            log.warning("a refit failed", exit_code=code, retry_seconds=PAUSE_SECONDS)
            self._not_before = after_pause
            return
        self._tried = self._fitting
        current = read_model(*self._store)
        if current is None or (current.features != self._wanted and self._features_differ()):  # it could read no row
            self._not_before = after_pause
        if self._drifted:
            self._drift, self._drifted, self._no_drift_before = Drift(), False, after_pause

    def _features_differ(self) -> bool:
        """Whether users are to be judged by other features now, as all workers agree."""
        differ = self.generation is not None and self.generation.features != self._wanted
        return differ and want_features(self._store.client, self._wanted, self._store.settings)

    def _refit_is_due(self, shards: Mapping[int, ShardState]) -> bool:
        drifted = self._drifted and self._clock() >= self._no_drift_before
        if not drifted and not refit_is_due(self._store.settings, shards, self.generation, self._tried):
            return False
        return self.generation is not None or want_features(self._store.client, self._wanted, self._store.settings)

    def refit_now(self) -> None:
        """Refit in this process, instead of a refit that is going on."""
        self.stop()
        refit(self._store, now_ms(), self._wanted if self._features_differ() else ())

    def step_now(self) -> bool:
        """Take a step if it is worth it; returns whether one was published."""
        shards = read_shards(self._store.client, self._store.settings)
        return self.generation is not None and step(self._store, shards, self.generation, now_ms())

    def stop(self) -> None:
        """End a refit that is going on."""
        if self._child:
            self._child.terminate()
            self._child.join()
            self._child = None


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
