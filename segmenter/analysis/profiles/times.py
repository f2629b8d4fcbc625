"""When a segment's users are active, by the clocks of a time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from segmenter.analysis.profiles.sides import Sides

if TYPE_CHECKING:
    import pandas as pd

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Times(msgspec.Struct, frozen=True):
    """How many events some users have in each hour of the day, from 0 on, and on each day of the week, from Monday."""

    events: int
    hours: list[int]
    weekdays: list[int]


class TimeProfile(msgspec.Struct, frozen=True):
    """The times of the users of a segment and of those that they are compared with."""

    timezone: str
    inside: Times
    outside: Times


def time_profile(quarters: pd.DataFrame, sides: Sides, timezone: str) -> TimeProfile:
    """When events were, from the columns ``label``, ``quarter_ms`` and ``events``.

    A quarter of an hour since 1970 is in one hour of any zone: since 1972, all clocks differ from UTC by quarters.
    """
    labels = quarters["label"]
    parts = [quarters[sides.inside(labels)], quarters[sides.outside(labels)]]
    return TimeProfile(timezone, *[_times(part, timezone) for part in parts])


def _times(quarters: pd.DataFrame, timezone: str) -> Times:
    import pandas as pd

    moments = pd.DatetimeIndex(quarters["quarter_ms"].to_numpy().astype("datetime64[ms]"), tz="UTC")
    local = moments.tz_convert(timezone)
    events = quarters["events"].to_numpy()
    hours, weekdays = [
        _sums(part.to_numpy(), events, size) for part, size in ((local.hour, 24), (local.day_of_week, 7))
    ]
    return Times(int(events.sum()), hours, weekdays)


def _sums(of: np.ndarray, events: np.ndarray, size: int) -> list[int]:
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, of, events)
    return [int(each) for each in sums]
