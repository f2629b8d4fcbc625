"""Folding events into profiles, against pandas over the same events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.model.folding import NO_DURATION, columns, fold, zero
from tests.chaos.events import aggregates
from tests.defaults import FIELDS, GROUP, KIND_FIELDS

TOPICS = {"click": "clickstream", "search": "searches", "view": "views"}

event = st.tuples(
    st.integers(0, 4),
    st.sampled_from(sorted(TOPICS)),
    st.one_of(st.none(), st.integers(0, 86_400_000)),
    st.integers(0, 253_402_300_799_999),
)
Events = list[tuple[int, str, int | None, int]]


def folded(profiles: np.ndarray[tuple[int, int], np.dtype[np.int64]], events: Events) -> None:
    users, kinds, durations, times = zip(*events, strict=True) if events else ((), (), (), ())
    given = [NO_DURATION if duration is None else duration for duration in durations]
    fold(profiles, *(np.array(users, np.int64), list(kinds), np.array(given, np.int64), np.array(times, np.int64)))


@settings(max_examples=50)
@given(st.lists(event, max_size=40), st.data())
def test_profiles_are_what_pandas_says(events: Events, data: st.DataObject) -> None:
    """However the events are divided; who has none keeps the profile of nobody."""
    profiles, untouched = zero(5), zero(5)
    cut = data.draw(st.integers(0, len(events)))
    for part in (events[cut:], events[:cut]):
        folded(profiles, part)

    table = pd.DataFrame(events, columns=["user_id", "kind", "duration_ms", "time_ms"])
    expected = aggregates(table.assign(topic=table["kind"].map(TOPICS)))
    users = sorted(expected.index)
    found = pd.DataFrame(columns(profiles)).loc[users]
    pd.testing.assert_frame_equal(found, expected, check_index_type=False)
    others = [user for user in range(5) if user not in users]
    assert profiles[others].tolist() == untouched[others].tolist()


def test_a_profile_of_nobody_has_no_first_and_no_last_time() -> None:
    """Any time is before the one and after the other; all the rest is zero."""
    named = {name: column.tolist() for name, column in columns(zero(2)).items()}
    assert named == {name: [0, 0] for name in GROUP} | {"first_ms": [2**63 - 1] * 2, "last_ms": [-1] * 2}
    assert zero(0).shape == (0, len(FIELDS))


def test_each_kind_adds_to_its_own_fields() -> None:
    for kind, own in KIND_FIELDS.items():
        profiles = zero(1)
        folded(profiles, [(0, kind, 7, 5)])
        changed = {name: int(column[0]) for name, column in columns(profiles).items() if name in GROUP and column[0]}
        assert changed == dict(zip(own, (1, 1, 7), strict=False))
