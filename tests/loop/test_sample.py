"""Whom a fit looks at, where there are more users than it takes."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import numpy as np
import pytest

from consumers.trainer import refit
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from tests.loop.helpers import remove_keys
from tests.loop.population import profile, put

USERS, MOST = 300, 40


def test_a_fit_looks_at_a_bounded_number_of_users_the_same_for_everybody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order Redis names them, which is another under each prefix. Another seed takes others."""
    monkeypatch.setattr(refit, "SAMPLE", MOST)
    users = {f"u{number}".encode(): profile(number + 1) for number in range(USERS)}
    other = dataclasses.replace(settings, key_prefix=f"{settings.key_prefix}-other")
    with closing(connect(settings)) as client:
        one, same = Store(client, settings), Store(client, other)
        put(one, users)
        put(same, dict(reversed(users.items())))
        taken, again, others = refit.sample(one, 1), refit.sample(same, 1), refit.sample(one, 2)
        remove_keys(other)
    assert len(taken) == len({tuple(vector) for vector in taken}) == len(others) == MOST
    assert np.array_equal(taken, again)
    assert not np.array_equal(taken, others)
