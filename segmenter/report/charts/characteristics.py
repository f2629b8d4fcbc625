"""The key characteristics of the segments: the mean of each feature."""

from __future__ import annotations

from segmenter.analysis.profiles.features import FeatureProfile
from segmenter.analysis.profiles.sentences import sentence, strongest
from segmenter.analysis.profiles.words import count, decimals, duration, money
from segmenter.kinds import Feature
from segmenter.model.features import is_count
from segmenter.report.chart import Chart, Table
from segmenter.report.charts.bars import Bar, Panel, draw
from segmenter.report.facts import Facts
from segmenter.report.style import marks_of


def chart(facts: Facts) -> Chart:
    """One panel a feature; those that users are judged by come first."""
    marks = marks_of(list(facts.names))
    features = (*facts.judging, *facts.others)
    panels, columns = [], []
    for feature in features:
        means = {slug: _mean(facts, slug, feature.name) for slug in facts.names}
        known = [abs(mean) for mean in means.values() if mean is not None]
        divisor, unit = _unit(feature, max(known, default=0.0), facts.currency)
        bars = []
        for slug, name in facts.names.items():
            mean = means[slug]
            label = "no value" if mean is None else told(mean, feature, facts.currency)
            bars.append(Bar(name, None if mean is None else mean / divisor, label, marks[slug]))
        panels.append(Panel(words(feature), unit, bars))
        columns.append([each.told for each in bars])
    judging = ", ".join([words(feature).lower() for feature in facts.judging])
    return Chart(
        slug="characteristics",
        subject="Key characteristics",
        finding=_finding(facts),
        note=f"The mean over the users of each segment who have a value. Users are judged by: {judging}.",
        table=Table(
            ("feature", *facts.names.values()),
            [(words(feature), *cells) for feature, cells in zip(features, columns, strict=True)],
        ),
        draw=lambda layout: draw(panels, 3, layout),
    )


def words(feature: Feature) -> str:
    """What a feature is.

    >>> words(Feature("total_clicks", "clicks", None, "clicks"))
    'Clicks'
    >>> words(Feature("mean_view_ms", "view_ms", "views_timed", "milliseconds"))
    'Mean view duration'
    """
    if is_count(feature.name):
        return feature.unit.capitalize()
    return feature.name.removesuffix("_ms").replace("_", " ").capitalize() + (
        " duration" if feature.unit == "milliseconds" else ""
    )


def _mean(facts: Facts, slug: str, feature: str) -> float | None:
    return next(each.inside.mean for each in facts.profiles[slug].features if each.name == feature)


def _unit(feature: Feature, most: float, currency: str) -> tuple[float, str]:
    """What a value is divided by to be drawn, and the unit that it then is in."""
    if feature.unit == "milliseconds":
        return (60_000, "minutes, mean") if most >= 120_000 else (1_000, "seconds, mean")
    if feature.unit == "minor units":
        return 10 ** decimals(currency), f"{currency}, mean"
    return 1, f"{feature.unit} per user, mean"


def told(mean: float, feature: Feature, currency: str) -> str:
    """A value of a feature, as people say it."""
    if feature.unit == "milliseconds":
        return duration(mean)
    return money(mean, currency) if feature.unit == "minor units" else count(mean)


def _finding(facts: Facts) -> str:
    """The strongest difference of the most engaged segment that has one."""
    if len([count for count in facts.counts.values() if count]) == 1:
        return "All users are in one segment: there is none to compare it with"
    for slug in reversed(facts.profiles):
        profile = facts.profiles[slug]
        apart: list[FeatureProfile] = strongest(profile.features)
        if profile.users and apart:
            said = sentence(apart[0], facts.kinds, facts.currency, None).removesuffix(".")
            return f"{facts.names[slug]}: {said[0].lower()}{said[1:]}"
    return "No feature sets one segment apart from the others"
