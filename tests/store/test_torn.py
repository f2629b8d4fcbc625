"""A Redis that was cut off while it wrote a commit to its file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from consumers.worker.acquire import Owner, ShardLog, acquire
from segmenter.events import shard_of
from segmenter.model.generation import digest
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.models import publish
from segmenter.store.recount import recount
from segmenter.store.rows import scan_rows
from segmenter.store.shards import acquire_shard, commit_shard, heartbeat, new_token, read_shards
from tests.recovery.own_redis import OwnRedis
from tests.store.ledger import SPACE
from tests.store.test_commit import IDS, JUDGES, KEY, ZERO, batch_of, row

USERS = [user for user in (b"user-%d" % n for n in range(40)) if shard_of(user, 2) == 0][:4]


def test_half_of_a_lost_commit_that_comes_back_is_recounted(tmp_path: Path) -> None:
    """Redis cuts a torn file after the last whole command, within a transaction, and writes the next one after that.

    So the next time that it loads the file, it executes what was left of the lost commit.
    """
    first_user, lost, cut, other = USERS
    with OwnRedis(tmp_path) as redis:
        settings = Settings(redis_url=redis.url, partitions=2)
        with closing(connect(settings)) as client:
            assert publish(client, settings, JUDGES, None)
            first = acquire_shard(client, settings, 0)
            _, first = commit_shard(client, settings, 0, first, batch_of(first, row(first_user, 1)), digest(JUDGES))
            lost_commit = batch_of(first, row(lost, 2), row(cut, 3))
            assert commit_shard(client, settings, 0, first, lost_commit, digest(JUDGES))[0] == "ok"
            redis.kill()
            redis.cut_after(b":" + cut)
            redis.restart()
            assert read_shards(client, settings)[0].version == first.version
            outcome, first = commit_shard(client, settings, 0, first, batch_of(first, row(other, 4)), digest(JUDGES))
            assert outcome == "ok" and not first.dirty
            redis.kill()
            redis.restart()
            found = read_shards(client, settings)[0]
            assert (found.version, found.dirty) == (first.version, True)
            written = {row.user for rows in scan_rows(client, settings) for row in rows}
            assert written == {first_user, lost, other}
            assert heartbeat(client, settings, {0: (first, 0)}, 0) == {0: "rolled back"}
            assert (
                commit_shard(client, settings, 0, first, batch_of(first, row(cut, 5)), digest(JUDGES))[0]
                == "rolled back"
            )
            owned = acquire(Store(client, settings), 0, Owner(new_token(), ""), ShardLog(IDS, ZERO), JUDGES, KEY)
            assert owned.state.census["low"].users == 3 and not owned.state.dirty
            assert recount(client, settings, 0, SPACE) == (owned.state.census, [])
