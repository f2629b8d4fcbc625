"""How other algorithms group the same users, and how good the groups are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segmenter.report.chart import Chart, Table
from segmenter.report.charts.bars import Bar, Panel, draw
from segmenter.report.facts import LIVE, Facts, Rated
from segmenter.report.style import ORANGE, SKY, Mark
from segmenter.report.words import percent

ALIKE = 0.005
"""Silhouettes that differ by less are called alike."""

_HOW_TO_READ = (
    "A silhouette is between -1 and 1; an adjusted Rand index is 1 for the same groups. The first three scores favour "
    "round groups of equal size, so they rate dbscan and hdbscan below their worth."
)

_LIVE_MARK, _OTHER_MARK = Mark(ORANGE, "////", "o", ()), Mark(SKY, "", "o", ())


class Score(NamedTuple):
    """A way to rate clusters: how it is read off, how many decimals are told, and whether higher is better."""

    title: str
    axis: str
    of: Callable[[Rated], float | None]
    decimals: int
    higher: bool


SCORES = (
    Score("Silhouette", "higher is better", lambda each: each.silhouette, 3, True),
    Score("Davies–Bouldin", "lower is better", lambda each: each.davies_bouldin, 3, False),
    Score("Calinski–Harabasz", "higher is better", lambda each: each.calinski_harabasz, 0, True),
    Score("Agreement with live", "adjusted Rand index", lambda each: each.rand_live, 3, True),
)


def chart(facts: Facts) -> Chart:
    """A panel a score; the best of each is said so."""
    rated = facts.rated
    panels = []
    for score in SCORES:
        best = best_of(facts, score)
        bars = []
        for each in rated:
            value = score.of(each)
            label = "none" if value is None else f"{value:,.{score.decimals}f}"
            mark = _LIVE_MARK if each.name == LIVE else _OTHER_MARK
            bars.append(Bar(each.name, value, f"best {label}" if each.name in best else label, mark))
        panels.append(Panel(score.title, score.axis, bars))
    rows = []
    for at, each in enumerate(rated):
        scores = [part.bars[at].told.removeprefix("best ") for part in panels]
        rows.append((each.name, f"{each.k:,}", percent(each.noise), *scores))
    some = f" Of snapshot {facts.rated_snapshot}." if facts.rated_snapshot != facts.snapshot.snapshot_id else ""
    return Chart(
        slug="algorithms",
        subject="Other algorithms on the same users",
        finding=_finding(facts),
        note=f"{_HOW_TO_READ}{some}"
        if rated
        else "`segmenter cluster --algorithm all` groups the users of the latest snapshot by six algorithms.",
        table=Table(("algorithm", "groups", "in no group", *[each.title for each in SCORES]), rows)
        if rated
        else Table((), []),
        draw=(lambda layout: draw(panels, 4, layout)) if rated else None,
    )


def best_of(facts: Facts, score: Score) -> set[str]:
    """Who has the best score; nobody if all have the same, and not the live segments for agreeing with themselves."""
    rated = {each.name: value for each in facts.rated if (value := score.of(each)) is not None}
    if score.title == SCORES[-1].title:
        rated.pop(LIVE, None)
    told = {name: round(value, score.decimals) for name, value in rated.items()}
    if len(set(told.values())) < 2:
        return set()
    top = max(told.values()) if score.higher else min(told.values())
    return {name for name, value in told.items() if value == top}


def _finding(facts: Facts) -> str:
    if not facts.rated:
        return "No other algorithm has been tried yet: run `segmenter cluster --algorithm all`"
    by_name = {each.name: each.silhouette for each in facts.rated if each.silhouette is not None}
    live = by_name.pop(LIVE, None)
    if live is not None and by_name:
        best = max(by_name, key=lambda each: by_name[each])
        if by_name[best] - live >= ALIKE:
            than = f"silhouette {by_name[best]:.3f} against {live:.3f}"
            return f"{best} separates these users better than the live segments: {than}"
        return f"No other algorithm separates these users better than the live segments: silhouette {live:.3f}"
    agreeing = {each.name: each.rand_live for each in facts.rated if each.name != LIVE and each.rand_live is not None}
    if not agreeing:
        return "The groups of these algorithms cannot be compared with the live segments"
    best = max(agreeing, key=lambda each: agreeing[each])
    return f"{best} agrees most with the live segments: adjusted Rand {agreeing[best]:.3f}"
