"""What the owner of a shard replies to commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from consumers.trainer.refit import refit
from consumers.worker.commands import execute_commands
from consumers.worker.membership import Membership
from segmenter.model.generation import Generation, digest
from segmenter.settings import Settings
from segmenter.shards.state import Commit, Removed
from segmenter.store.commands import Command, Rewrite, Write, await_reply, send_command
from segmenter.store.connection import Store, connect
from segmenter.store.models import read_model
from segmenter.topics import TopicGuard, ensure_topics
from tests.loop.helpers import rows, users_of
from tests.loop.population import crowd, put

Until = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize("kind", [Write, Rewrite])
def test_what_another_generation_forestalls_is_not_called_done(
    settings: Settings, turning: Until, kind: type[Command]
) -> None:
    """The owner does not know yet of the generation that was published: nothing is written, and the reply says so."""
    ensure_topics(settings)
    with closing(connect(settings)) as client, closing(TopicGuard(settings)) as guard:
        store = Store(client, settings)
        put(store, users := crowd(range(90)))
        membership = Membership(store, guard, settings)

        def replied(known: Generation | None, name: str) -> bool:
            state = membership.shards[0].state
            gone = users_of(settings, 0)[0].encode()
            commit = Commit([], [], state, [Removed(gone)])
            judged_by = digest(known) if known else ""
            write = Write(state.token, state.version, judged_by, [commit], name)
            send_command(*store, 0, write if kind is Write else Rewrite(name))
            execute_commands(store, membership, known)
            reply = await_reply(*store, write, 10)
            assert reply is not None and reply.version == membership.shards[0].state.version
            return reply.done

        def acquired() -> bool:
            membership.follow()
            membership.acquire(None)
            membership.poll(100, 1)
            return membership.holds_all_assigned()

        turning(acquired)
        assert refit(store, 0)
        before = membership.shards[0].state
        assert not replied(None, "too-early")
        assert rows(settings).keys() == users.keys() and membership.shards[0].state == before
        assert replied(read_model(*store), "in-time")
        membership.leave()
