"""A restore brings back everybody, however many there are, by the latest model, and only while no worker lives."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from consumers import sink, worker
from consumers.trainer.refit import rename
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.operations import restore, restore_from_raw, snapshot
from segmenter.settings import Settings
from segmenter.store.connection import clock_ms, connect
from segmenter.store.keys import Keys
from segmenter.store.models import read_model
from segmenter.warehouse import snapshot_contents
from segmenter.warehouse.engine import writing
from tests.loop.helpers import START_MS, age_heartbeats, profiles, remove_keys, rows
from tests.loop.plainly import profiles_of

EVENTS = list(generate(300, 50, seed=1))


def test_more_users_than_are_read_at_once_come_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a snapshot and from the raw events."""
    monkeypatch.setattr(snapshot_contents, "USERS_AT_A_TIME", 7)
    monkeypatch.setattr(restore_from_raw, "USERS_AT_A_TIME", 7)
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    for bring_back in (restore.restore, restore_from_raw.restore_from_raw):
        remove_keys(settings)
        assert bring_back(settings).users == 50
        assert profiles(settings) == profiles_of(EVENTS)


def test_a_worker_of_any_shard_is_in_the_way(settings: Settings) -> None:
    """Workers share the shards: where one has ended, another may live."""
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    before = profiles(settings)
    for number in range(settings.partitions):
        age_heartbeats(settings)
        with closing(connect(settings)) as client:
            client.hset(Keys(settings.key_prefix).shard(number), "beat_ms", clock_ms(client))
        for prepare in (restore.prepare, restore_from_raw.prepare_from_raw):
            with pytest.raises(UsageError, match=f"a worker held shard {number} "):
                prepare(settings, replace=True)
    assert profiles(settings) == before


def test_raw_events_are_judged_by_the_model_of_the_latest_snapshot(settings: Settings) -> None:
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    for name in ("Our guests", "Our friends", "Our fans"):
        rename(settings, settings.segments[-1], name, START_MS)
        snapshot.take(settings, START_MS)
    remove_keys(settings)
    restore_from_raw.restore_from_raw(settings)
    with closing(connect(settings)) as client:
        model = read_model(client, settings)
    assert model is not None
    assert json.loads(model.encode())["segments"][-1]["name"] == "Our fans"


def test_each_row_holds_what_its_own_cut_says_however_many_are_written(settings: Settings) -> None:
    """The rows of a shard were read one after the other, while events came; they are written a few at a time."""
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    cuts = {user: 1 + number % 20 for number, user in enumerate(sorted(profiles(settings)))}
    with warehouse.connect(settings) as database, writing(database) as connection:
        own = text("UPDATE snapshot_users SET cut_clickstream = :cut WHERE user_id = :user")
        connection.execute(own, [{"user": user, "cut": cut} for user, cut in cuts.items()])
    remove_keys(settings)
    restore.restore(replace(settings, commit_rows=3))
    assert {user: row.offsets["clickstream"] + 1 for user, row in rows(settings).items()} == cuts


def test_a_restore_that_lacks_only_offsets_is_still_half_a_restore(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each user is there, but a worker would read the whole log again, and count it again."""
    publish(settings, EVENTS)
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    remove_keys(settings)
    commit, commits = restore.commit_shard, iter(range(settings.partitions))

    def struck(*arguments: Any) -> Any:
        next(commits)
        return commit(*arguments)

    with monkeypatch.context() as meanwhile, pytest.raises(StopIteration):
        meanwhile.setattr(restore, "commit_shard", struck)
        restore.restore(settings)
    assert len(rows(settings)) == 50
    with pytest.raises(UsageError, match="only a part of snapshot 1"):
        worker.run(settings, once=True)
