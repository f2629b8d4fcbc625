"""Folding events into profiles, against pandas over the same events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segmenter.kinds import BUILT_IN, DEFAULT, Kind
from segmenter.model.folding import NO_MEASURE, Overflow, columns, fold, zero
from segmenter.model.profiles import fields
from tests.chaos.events import aggregates
from tests.defaults import FIELDS, GROUP

event = st.tuples(
    st.integers(0, 4),
    st.sampled_from(DEFAULT),
    st.one_of(st.none(), st.integers(0, 86_400_000)),
    st.integers(0, 253_402_300_799_999),
)
Events = list[tuple[int, Kind, int | None, int]]


def folded(profiles: NDArray[np.int64], events: Events, names: tuple[str, ...] = FIELDS) -> None:
    """Add events, of which those that measure nothing have no duration either."""
    users, kinds, measures, times = zip(*events, strict=True) if events else ((), (), (), ())
    counts = [names.index(kind.plural) for kind in kinds]
    given = [NO_MEASURE if measure is None else measure for measure in measures]
    fold(profiles, *(np.array(column, np.int64) for column in (users, counts, given, times)))


@settings(max_examples=50)
@given(st.lists(event, max_size=40), st.data())
def test_profiles_are_what_pandas_says(events: Events, data: st.DataObject) -> None:
    """However the events are divided; who has none keeps the profile of nobody."""
    events = [(user, kind, None if kind.measure == "none" else ms, time_ms) for user, kind, ms, time_ms in events]
    profiles, untouched = zero(5, len(FIELDS)), zero(5, len(FIELDS))
    cut = data.draw(st.integers(0, len(events)))
    for part in (events[cut:], events[:cut]):
        folded(profiles, part)

    table = pd.DataFrame(events, columns=["user_id", "kind", "duration_ms", "time_ms"])
    expected = aggregates(table.assign(topic=[kind.topic for kind in table["kind"]]))
    users = sorted(expected.index)
    found = pd.DataFrame(columns(profiles, FIELDS)).loc[users]
    pd.testing.assert_frame_equal(found, expected, check_index_type=False)
    others = [user for user in range(5) if user not in users]
    assert profiles[others].tolist() == untouched[others].tolist()


def test_a_profile_of_nobody_has_no_first_and_no_last_time() -> None:
    """Any time is before the one and after the other; all the rest is zero."""
    named = {name: column.tolist() for name, column in columns(zero(2, len(FIELDS)), FIELDS).items()}
    assert named == {name: [0, 0] for name in GROUP} | {"first_ms": [2**63 - 1] * 2, "last_ms": [-1] * 2}
    assert zero(0, len(FIELDS)).shape == (0, len(FIELDS))


def test_each_kind_adds_to_its_own_fields() -> None:
    """Also where all kinds are on; the measures of those that have any are counted and summed up."""
    names = fields(tuple(BUILT_IN.values()))
    for kind in BUILT_IN.values():
        profiles = zero(1, len(names))
        measures = [None] * 3 if kind.measure == "none" else [7, None, 0]
        folded(profiles, [(0, kind, measure, 5) for measure in measures], names)
        changed = {name: int(column[0]) for name, column in columns(profiles, names).items() if column[0]}
        assert changed == dict(zip(kind.fields, (3, 2, 7), strict=False)) | {"first_ms": 5, "last_ms": 5}


MOST = 10**12
"""The largest amount of one event."""


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(-MOST, MOST), min_size=1, max_size=5))
@example(2**63 - 3, [2])
@example(2**63 - 3, [3])
@example(-(2**63) + 3, [-3])
@example(-(2**63) + 3, [-4])
@example(2**63 - 3, [3, -1])
def test_a_sum_of_amounts_is_exact_or_refused(before: int, amounts: list[int]) -> None:
    """It may be below zero; where 64 bits do not hold it, the user and the sum are named."""
    kind = BUILT_IN["purchase"]
    names = fields((kind,))
    profiles = zero(2, len(names))
    profiles[1, names.index("purchase_amount")] = before
    events: Events = [(1, kind, amount, 5) for amount in amounts]
    if -(2**63) <= before + sum(amounts) < 2**63:
        folded(profiles, events, names)
        assert profiles[1].tolist() == [len(amounts), len(amounts), before + sum(amounts), 5, 5]
    else:
        with pytest.raises(Overflow) as refused:
            folded(profiles, events, names)
        assert (refused.value.row, names[refused.value.column]) == (1, "purchase_amount")
