"""What sets a segment apart, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from segmenter.analysis.profiles.features import FeatureProfile
from segmenter.analysis.profiles.times import WEEKDAYS, TimeProfile
from segmenter.analysis.profiles.words import count, duration, money, times_as
from segmenter.kinds import Kind

SMALL = 0.2
"""A difference below it is not worth a sentence (Cohen calls 0.2 small)."""

MOST = 5

Measures = Literal["events", "duration", "total", "mean"]
"""What a feature measures: how many events, how long they took, or their amounts in total or each."""

_MANNERS: dict[Measures, tuple[str, str, str]] = {
    "events": ("often", "more often", "less often"),
    "duration": ("long", "longer", "less long"),
    "total": ("much in total", "more in total", "less in total"),
    "mean": ("much each", "more each", "less each"),
}


def strongest(features: Sequence[FeatureProfile]) -> list[FeatureProfile]:
    """The features that set a segment apart most, as far as a sentence can be made of them."""
    apart = [each for each in features if abs(each.difference or 0.0) >= SMALL]
    return sorted(apart, key=lambda each: -abs(each.difference or 0.0))[:MOST]


def measured(feature: str, kinds: Sequence[Kind]) -> tuple[Kind, Measures]:
    """The kind of event that a feature is made of, and what it measures of it."""
    for kind in kinds:
        for place, each in enumerate(kind.features):
            if each.name == feature:
                if place == 0:
                    return kind, "events"
                return kind, "duration" if kind.measure == "duration" else "mean" if each.denominator else "total"
    raise KeyError(feature)


def sentence(feature: FeatureProfile, kinds: Sequence[Kind], currency: str, other: str | None) -> str:
    """How the users of a segment differ by a feature that both sides have from others, or from those of ``other``.

    The numbers are means. If these do not differ the same way as log(1 + x) does, a few extreme users have moved them:
    then the typical values of `segmenter.analysis.profiles.features.Spread` are told.

    >>> from segmenter.analysis.profiles.features import spread
    >>> from segmenter.kinds import DEFAULT
    >>> import numpy as np
    >>> one, others = spread(np.array([250_000.0])), spread(np.array([78_000.0]))
    >>> sentence(FeatureProfile("mean_view_ms", "milliseconds", one, others, 2.0), DEFAULT, "EUR", None)
    'Reads articles 3.2 times as long as others do: 4 min 10 s on average against 1 min 18 s.'
    """
    kind, measures = measured(feature.name, kinds)
    inside, outside, how = feature.inside.mean or 0.0, feature.outside.mean or 0.0, "on average"
    if (inside > outside) != ((feature.difference or 0.0) > 0):
        inside, outside, how = feature.inside.typical or 0.0, feature.outside.typical or 0.0, "typically"
    begin, whose = _begin(kind, measures), _whose(measures, other)
    manner, more, less = _MANNERS[measures]
    if inside > 0 and outside > 0:
        compared = f"{times_as(inside / outside, manner)} as {whose}"
    else:
        compared = f"{more if inside > outside else less} than {whose}"
    told = [_told(number, measures, currency) for number in (inside, outside)]
    return f"{begin} {compared}: {told[0]} {how} against {told[1]}."


def _begin(kind: Kind, measures: Measures) -> str:
    does, lasts = kind.acts
    worth = f"Has {kind.plural.replace('_', ' ')} that come to"
    return {"events": does, "duration": lasts}.get(measures, worth)


def _whose(measures: Measures, other: str | None) -> str:
    if measures in ("events", "duration"):
        return f"“{other}” does" if other else "others do"
    return f"those of “{other}”" if other else "those of others"


def _told(number: float, measures: Measures, currency: str) -> str:
    if measures == "events":
        return count(number)
    return duration(number) if measures == "duration" else money(number, currency)


def time_sentence(times: TimeProfile, other: str | None) -> str | None:
    """The busiest hour and day of a segment, None without events."""
    inside, outside = times.inside, times.outside
    if not inside.events:
        return None
    hour, day = [part.index(max(part)) for part in (inside.hours, inside.weekdays)]
    against = ""
    if outside.events:
        whose = f"“{other}”" if other else "others"
        against = f" (against {outside.hours[hour] / outside.events:.1%} of those of {whose})"
    return (
        f"Most active from {hour}:00 to {hour + 1}:00, with {inside.hours[hour] / inside.events:.1%} of the events"
        f"{against}, and on {WEEKDAYS[day]}s, in the time zone {times.timezone}."
    )
