"""The same events in another order, through the whole loop."""

from __future__ import annotations

import dataclasses
import random
from contextlib import closing

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from segmenter.store.connection import connect
from tests.loop.helpers import profiles
from tests.loop.plainly import profiles_of


def test_three_shuffles_give_the_same_aggregates(settings: Settings) -> None:
    """Published under three prefixes, each in an order of its own on every topic, and committed in other batches."""
    messages = list(generate(2_000, 150, seed=5))
    for seed, commit_rows in ((1, 250), (2, 7), (3, 40)):
        own = dataclasses.replace(
            settings,
            key_prefix=f"{settings.key_prefix}{seed}",
            topic_prefix=f"{settings.topic_prefix}{seed}.",
            group=f"{settings.group}{seed}",
            commit_rows=commit_rows,
        )
        publish(own, random.Random(seed).sample(messages, len(messages)))
        worker.run(own, once=True, may_refit=False)
        found = profiles(own)
        with closing(connect(own)) as client:
            client.delete(*client.keys(f"{own.key_prefix}:*"))
        assert found == profiles_of(messages)
