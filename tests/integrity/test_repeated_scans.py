"""Redis may name a key, or a member of a set, more than once in one scan: nobody counts twice for that."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import Any

import msgspec
import pytest
import redis

from consumers import sink, worker
from consumers.trainer.refit import sample
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.operations import snapshot
from segmenter.operations.integrity.digests import digest_store
from segmenter.operations.integrity.repair import repair_shards
from segmenter.operations.integrity.verify import verify
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.recount import recount
from segmenter.store.shards import members, read_shards
from tests.loop.helpers import START_MS, age_heartbeats

USERS = 60


def repeat_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer names all twice, and once more what one long before has named; they are short, so there are many."""
    for name, own in (("scan", 0), ("sscan", 1)):
        answer = getattr(redis.Redis, name)
        before: dict[object, list[list[bytes]]] = defaultdict(list)

        def repeated(
            *arguments: Any, answer: Any = answer, own: int = own, before: Any = before, **named: Any
        ) -> tuple[int, list[bytes]]:
            of = (*arguments[1 : 1 + own], str(named.get("match")))
            cursor, found = answer(*arguments, **named | {"count": 5})
            answers = [*before[of], list(found)]
            before[of] = answers if cursor else []
            return cursor, [*found, *answers[len(answers) // 2], *found]

        monkeypatch.setattr(redis.Redis, name, repeated)


def test_whoever_is_named_twice_counts_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """For verify, digests, recount, snapshot, the next refit and its sweep."""
    messages = list(generate(900, USERS, seed=3))
    publish(settings, messages)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    users = {message.key for message in messages}
    before = digest_store(settings)
    with closing(connect(settings)) as client:
        states, model = read_shards(client, settings), read_model(client, settings)
        assert model is not None
        repeat_scans(monkeypatch)
        found = verify(settings)
        assert (found.users, found.differences) == (len(users), [])
        assert digest_store(settings) == before
        assert {number: recount(client, settings, number, model.space) for number in states} == {
            number: (state.census, []) for number, state in states.items()
        }
        named = [
            user
            for number, state in states.items()
            for slug in state.census
            for user in members(client, settings, number, slug)
        ]
        assert sorted(named) == sorted(users)
        assert len(sample(Store(client, settings), seed=1)) == len(users)
        assert snapshot.take(settings, START_MS).users == len(users)
        result = reconcile(settings)[1]
        assert (result.compared, result.equal) == (len(users), True)
        turned = msgspec.structs.replace(model, number=model.number + 1, centres=model.centres[::-1])
        assert publish_model(client, settings, turned, model)
        worker.run(settings, once=True, may_refit=False)
        assert {state.generation for state in read_shards(client, settings).values()} == {turned.number}
        age_heartbeats(settings)
        for number, state in states.items():
            client.delete(*(Keys(settings.key_prefix).audience(number, slug) for slug in state.census))
        repair_shards(Store(client, settings), states)
        found = verify(settings)
        assert (found.users, found.differences) == (len(users), [])
