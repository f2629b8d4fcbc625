"""The trainer: the generation that judges now, and the search for the next one."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess

import numpy as np
import structlog

from consumers.trainer.refit import population_of, refit, refit_is_due, step
from segmenter import logs
from segmenter.errors import Corrupt, SegmenterError
from segmenter.model.drift import Drift
from segmenter.model.generation import Generation, digest
from segmenter.model.kmeans import inertia
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.store.connection import Store, connect
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards

log = structlog.get_logger()


class Trainer:
    """The current generation, and at most one child process that looks for another by a refit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._child: SpawnProcess | None = None
        self._tried = 0
        self._drift = Drift()
        self._drifted = False
        self.generation: Generation | None = None

    def refresh(self) -> bool:
        """Read the current generation; tells whether it differs from the one before."""
        current = read_model(self._store.client, self._store.settings)
        before, self.generation = self.generation, current
        return (before and digest(before)) != (current and digest(current))

    def watch(self, rows: Sequence[Row]) -> None:
        """Watch how well the present centres fit users who have just been active."""
        if self.generation is not None and rows:
            found = self.generation
            vectors = np.array([row.vector for row in rows], dtype=np.int64)
            distance = inertia(vectors, found.centres, found.scale, found.fill) / len(rows)
            self._drifted |= self._drift.update(distance)

    def advance(self) -> None:
        """Look for the next generation: start a refit if one is due, else take a step if it is worth it."""
        if self._child and self._child.is_alive():
            return
        try:
            shards = read_shards(self._store.client, self._store.settings)
        except Corrupt:  # `segmenter status` says so
            return
        if self._drifted or refit_is_due(shards, self.generation, self._tried):
            self._tried = population_of(shards)
            self._drift, self._drifted = Drift(), False
            self._child = multiprocessing.get_context("spawn").Process(
                target=_refit, args=(self._store.settings,), daemon=True
            )
            self._child.start()
        elif self.generation:
            step(self._store, shards, self.generation, now_ms())

    def refit_now(self) -> None:
        """Refit in this process, instead of a refit that is going on."""
        self.stop()
        refit(self._store, now_ms())

    def step_now(self) -> bool:
        """Take a step if it is worth it; tells whether one was published."""
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


def _refit(settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this process
    logs.setup(settings.log_level)
    try:
        refit(Store(connect(settings), settings), now_ms())
    except SegmenterError as error:
        log.warning("a refit failed", reason=str(error))
