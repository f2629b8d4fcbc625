"""A sweep that another generation overtakes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from consumers.trainer.refit import refit
from consumers.worker.loop import Worker
from segmenter import crash_points
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.models import publish, read_model
from tests.loop.helpers import differences, rows
from tests.loop.population import crowd, is_swept, put, sweep_all

USERS, COMMIT_ROWS = 100, 10
OVERTAKEN = {"a write": (1, 3, 7), "a heartbeat": (2, 4, 8)}
"""After which commits of the sweeps of two shards, one of each in turn, the next generation comes."""


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(connect(settings)) as client:
        yield Store(client, dataclasses.replace(settings, commit_rows=COMMIT_ROWS))


def follow(store: Store, created_ms: int = 0) -> int:
    """Publish a generation that exchanges the least and the most engaged; returns its number."""
    current = read_model(*store)
    assert current is not None
    turned = msgspec.structs.replace(
        current, number=current.number + 1, centres=current.centres[::-1], created_ms=created_ms
    )
    assert publish(*store, turned, current)
    return turned.number


def test_a_newer_generation_restarts_a_sweep(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a sweep was, in the end everybody is judged by the newest: also those whom it had judged before.

    The worker is told of the newest by its next write; then, in another sweep, by a heartbeat.
    """
    put(store, crowd(range(USERS)))
    assert refit(store, 0)
    sweep_all(store)
    worker = Worker(store.settings, may_refit=False, from_log_start=False, on_progress=lambda records: None)
    newest, commits, to_be_told_by = follow(store), 0, list(OVERTAKEN)

    def overtake(point: crash_points.CrashPoint) -> None:
        nonlocal newest, commits
        commits += point == "sweep"
        if point == "sweep" and commits in OVERTAKEN[to_be_told_by[0]]:
            newest = follow(store)
            worker._next_heartbeat = 0.0 if to_be_told_by[0] == "a heartbeat" else time.monotonic() + 5.0

    def done() -> bool:
        nonlocal newest, commits
        if not is_swept(store):
            return False
        assert commits > 8
        told_by = to_be_told_by.pop(0)
        assert {row.generation for row in rows(store.settings).values()} == {newest}, told_by
        assert differences(store.settings) == [], told_by
        newest, commits = follow(store), 0
        worker._next_heartbeat = 0.0
        return not to_be_told_by

    monkeypatch.setattr(crash_points, "_watchers", [overtake])
    worker.run(None, done)
    assert len(rows(store.settings)) == USERS and not to_be_told_by


def test_another_generation_of_the_same_number_is_followed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that lost its last writes has lost a generation, too; somebody else publishes the next one before.

    The worker learns of it as it judges somebody by the one that was lost.
    """
    put(store, crowd(range(USERS)))
    assert refit(store, 0)
    sweep_all(store)
    first = read_model(*store)
    keys = store.client.keys(f"{store.settings.key_prefix}:*")
    kept = {key: store.client.dump(key) for key in keys}
    number, struck = follow(store), False
    worker = Worker(store.settings, may_refit=False, from_log_start=False, on_progress=lambda records: None)

    def forget() -> None:
        with store.client.pipeline() as pipeline:
            pipeline.delete(*store.client.keys(f"{store.settings.key_prefix}:*"))
            for key, held in kept.items():
                pipeline.restore(key, 0, held)
            pipeline.execute()
        assert read_model(*store) == first

    def strike(point: crash_points.CrashPoint) -> None:
        nonlocal struck
        if point == "sweep" and not struck:
            struck = True
            forget()
            assert follow(store, created_ms=1) == number
            worker._next_heartbeat = time.monotonic() + 5.0

    monkeypatch.setattr(crash_points, "_watchers", [strike])
    worker.run(None, lambda: struck and is_swept(store))
    assert {row.generation for row in rows(store.settings).values()} == {number}
    assert differences(store.settings) == []
