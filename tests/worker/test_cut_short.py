"""A run that is to end, and is stopped before it has."""

from __future__ import annotations

import dataclasses

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from tests.loop.helpers import folded, profiles
from tests.loop.plainly import profiles_of

EVENTS, USERS = 600, 100


def test_a_run_that_is_stopped_before_its_end_loses_nothing(settings: Settings) -> None:
    """What it has polled and not committed is taken in by the next run."""
    messages = list(generate(EVENTS, USERS, seed=1))
    publish(settings, messages)
    a_few_at_a_time = dataclasses.replace(settings, commit_rows=10)
    taken_in: list[int] = []
    worker.run(
        a_few_at_a_time, once=True, may_refit=False, on_progress=taken_in.append, stopping=lambda: bool(taken_in)
    )
    assert 0 < sum(taken_in) == folded(settings) < EVENTS
    worker.run(settings, once=True, may_refit=False)
    assert folded(settings) == EVENTS
    assert profiles(settings) == profiles_of(messages)
