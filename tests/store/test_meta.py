"""What holds for the whole store: which Redis may hold one, its layout, its group, and what a restore removes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from redis import Redis

from segmenter.errors import NothingYet, SegmenterError, UsageError
from segmenter.events import Rules
from segmenter.operations.restore import require_replaceable
from segmenter.settings import Settings
from segmenter.store import meta
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.meta import begin_restore, claim, end_restore, group_in_use, next_group, require_whole
from tests.recovery.own_redis import OwnRedis

MANY = 20_000
"""So many keys that Redis names them in many answers, most of them without the one that is looked for."""


@pytest.fixture
def client(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as opened:
        yield opened


def fill(client: Redis, prefix: str, many: int) -> None:
    """So many keys, none of them a row."""
    client.mset({f"{prefix}:other:{number}": "" for number in range(many)})


EVICTING = [f"{keys}-{which}" for keys in ("allkeys", "volatile") for which in ("lru", "lfu", "random")]


def test_a_redis_that_evicts_is_refused(redis: OwnRedis) -> None:
    """By any rule, with what to do; nothing is written to it, and once it evicts no more it is taken."""
    settings = Settings(redis_url=redis.url)
    with closing(connect(settings)) as client:
        for policy in (*EVICTING, "volatile-ttl"):
            client.config_set("maxmemory-policy", policy)
            with pytest.raises(SegmenterError, match=rf"maxmemory-policy is {policy}, it must be noeviction"):
                claim(client, settings, Rules.of(settings))
            assert client.keys("*") == []
        client.config_set("maxmemory-policy", "noeviction")
        claim(client, settings, Rules.of(settings))
        assert client.keys("*") == [Keys(settings.key_prefix).meta().encode()]


def test_what_this_version_writes_another_layout_refuses(
    client: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(client, settings, Rules.of(settings))
    monkeypatch.setattr(meta, "LAYOUT", meta.LAYOUT + 1)
    with pytest.raises(UsageError, match=r"holds layout 1 under .* reads layout 2\. Use the matching version"):
        claim(client, settings, Rules.of(settings))


def test_users_are_found_however_many_other_keys_there_are(client: Redis, settings: Settings) -> None:
    """A restore would remove them: it needs to be told so, if there is a single one."""
    fill(client, settings.key_prefix, MANY)
    require_replaceable(settings, replace=False)
    for number in range(10):
        user = Keys(settings.key_prefix).user(b"u%d" % number)
        client.hset(user, "segment", "unassigned")
        with pytest.raises(UsageError, match=r"Redis holds users under .* `segmenter restore --replace`"):
            require_replaceable(settings, replace=False)
        client.delete(user)


def test_a_restore_removes_all_of_a_store_and_nothing_of_another(client: Redis, settings: Settings) -> None:
    """Of its own, all but what holds for the store, however few keys that is; others may have a longer name."""
    others = [f"{settings.key_prefix}{more}" for more in ("2", "-b", "_c", ".d")]
    own = Keys(settings.key_prefix).meta().encode()
    try:
        fill(client, others[0], MANY)
        for other in others:
            claim(client, replace(settings, key_prefix=other), Rules.of(settings))
            client.hset(Keys(other).user(b"u1"), "segment", "unassigned")
        kept = set(client.keys(f"{settings.key_prefix}*"))
        claim(client, settings, Rules.of(settings))
        fill(client, settings.key_prefix, 5)
        begin_restore(client, settings, 7)
        assert set(client.keys(f"{settings.key_prefix}*")) == kept | {own}
        fill(client, settings.key_prefix, MANY)
        begin_restore(client, settings, 7)
        assert set(client.keys(f"{settings.key_prefix}*")) == kept | {own}
    finally:
        client.unlink(*client.keys(f"{settings.key_prefix}*"))


def test_a_store_of_which_a_part_may_be_gone_says_so(
    client: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before the first key is removed until all is there again."""
    claim(client, settings, Rules.of(settings))
    client.hset(Keys(settings.key_prefix).user(b"u1"), "segment", "unassigned")

    class Killed(Exception):
        """The process ends here."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Redis, "unlink", kill)
        begin_restore(client, settings, 7)
    for use in (lambda: require_whole(client, settings), lambda: claim(client, settings, Rules.of(settings))):
        with pytest.raises(NothingYet, match="holds only a part of snapshot 7"):
            use()
    begin_restore(client, settings, 0)
    with pytest.raises(NothingYet, match="holds only a part of the raw events"):
        require_whole(client, settings)
    end_restore(client, settings)
    claim(client, settings, Rules.of(settings))


@pytest.mark.parametrize("group", ["segmenter", "my.workers.v2", "1.2"])
def test_workers_leave_a_stuck_group_whatever_it_is_called(client: Redis, settings: Settings, group: str) -> None:
    """Whoever finds it stuck later than others stays where they are."""
    of_group = replace(settings, group=group)
    names = [group_in_use(client, of_group)]
    for _ in range(3):
        for stuck in (*names, names[-1]):
            next_group(client, of_group, stuck)
        names.append(group_in_use(client, of_group))
        assert names[-1] == f"{names[0]}.{len(names) - 1}"
    assert names[0].startswith(f"{group}.") and len(set(names)) == len(names)


def test_workers_that_ask_at_once_for_their_group_share_one(
    client: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has no id yet, and each draws one; the first that is stored is that of all."""
    draw, first = secrets.token_hex, list[str]()

    def after_another(size: int) -> str:
        if not first:
            first.append("")
            first[0] = group_in_use(client, settings)
        return draw(size)

    monkeypatch.setattr(secrets, "token_hex", after_another)
    assert group_in_use(client, settings) == first[0] == group_in_use(client, settings)
