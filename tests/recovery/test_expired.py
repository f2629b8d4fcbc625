"""Redis is empty and the log begins later: never a silent gap. On real parts, since only there a log can be cut."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from sqlalchemy import text

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import topics, warehouse
from segmenter.errors import LogTruncated, UsageError
from segmenter.operations import restore, snapshot
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.shards import read_shards
from segmenter.topics.client import client_options
from segmenter.warehouse.engine import writing
from tests.loop.helpers import START_MS, rows
from tests.loop.plainly import profiles_of
from tests.recovery.own_redis import OwnRedis

USERS = 350
BEFORE, SINCE = (list(generate(2_000, USERS, seed=seed)) for seed in (1, 2))

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The parts of the other tests, but for Redis."""
    with OwnRedis(tmp_path / "redis") as own:
        yield dataclasses.replace(settings, redis_url=own.url)


def folded(settings: Settings) -> int:
    with closing(connect(settings)) as client:
        return sum(state.counts.folded for state in read_shards(client, settings).values())


def content(settings: Settings) -> dict[bytes, tuple[object, ...]]:
    """All of each row but its offsets."""
    return {user: (row.segment, row.generation, row.profile, row.vector) for user, row in rows(settings).items()}


def expire(settings: Settings) -> int:
    """Cut the first half of each partition off; returns how many records stay."""
    ends = topics.ends(settings, topics.topic_ids(settings))
    with KafkaAdminClient(**client_options(settings)) as admin:
        admin.delete_records({TopicPartition(*at): end // 2 for at, end in ends.items()})
    return sum(end - end // 2 for end in ends.values())


@pytest.mark.parametrize("parts", ["real"], indirect=True)
def test_an_emptied_redis_whose_log_has_expired(
    settings: Settings, environment: dict[str, str], until: Until, tmp_path: Path
) -> None:
    """The worker ends with the error that says how to restore; restored, all is as it was. Or it leaves that out."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    snapshot.take(settings, START_MS)
    held = expire(settings)
    publish(settings, SINCE)
    command = [sys.executable, "-m", "segmenter"]
    running = subprocess.Popen(
        [*command, "worker", "--no-refit"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: folded(settings) == 4_000)
        before = content(settings)
        snapshot.take(settings, START_MS + 1)
        with closing(connect(settings)) as client:
            client.flushall()
        said = running.communicate(timeout=60)[1].decode().splitlines()[-1]
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 1
    assert "but the log begins at" in said and "Redis knows nothing of the shard. Stop the workers and run" in said
    assert "`segmenter restore` or, where no snapshot fits, `segmenter restore --from-raw`; or leave" in said

    with pytest.raises(UsageError, match="there is nothing to take a snapshot of"):
        snapshot.take(settings, START_MS + 2)
    with warehouse.connect(settings) as database, writing(database) as connection:
        connection.execute(text("UPDATE snapshot_cuts SET topic_id = NULL, next_pos = 0 WHERE snapshot_id = 2"))
    with pytest.raises(LogTruncated, match=r"offset 0 of topic .* Restore another snapshot by --snapshot"):
        restore.prepare(settings)

    restored = subprocess.run(
        [*command, "restore", "--snapshot", "1"], env=environment, capture_output=True, text=True, check=True
    )
    assert "restored snapshot 1, taken" in restored.stdout
    assert "start a worker: it reads on from these offsets, 2,000 records before the log's end" in restored.stdout
    worker.run(settings, once=True, may_refit=False)
    assert content(settings) == before and folded(settings) == 4_000
    assert {user: row.profile for user, row in rows(settings).items()} == profiles_of(BEFORE + SINCE)

    with closing(connect(settings)) as client:
        client.flushall()
    with pytest.raises(LogTruncated):
        worker.run(settings, once=True)
    assert worker.run(settings, once=True, from_log_start=True).records == held + len(SINCE)
