"""How many users each segment had in each snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from segmenter.report.chart import Chart, Layout, Table
from segmenter.report.facts import Facts
from segmenter.report.style import FAINT, INK, NEUTRAL, SOFT, Mark, marks_of, overlay, panel, sheet
from segmenter.report.words import cut, people, plural, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60
"""So many snapshots are drawn; of more, every n-th, the latest among them."""

_GONE = Mark(NEUTRAL, "", "8", (1, 2))

Series = dict[str, list[int]]
"""The sizes of each segment, one a snapshot."""


def chart(facts: Facts) -> Chart:
    """A line for each segment, those that are no more among them; a sentence if there is one snapshot only."""
    taken = sorted({(each.snapshot_id, each.taken_ms) for each in facts.sizes})
    shown = taken[:: -max(1, -(-len(taken) // MOST))][::-1]
    users = {(each.snapshot_id, each.segment): each.users for each in facts.sizes}
    former = {each.segment: each.name for each in facts.sizes}
    names = {slug: name for slug, name in former.items() if slug not in facts.names} | facts.names
    series: Series = {slug: [users.get((number, slug), 0) for number, _ in shown] for slug in names}
    times = [at for _, at in shown]
    some = f" Of {plural(len(taken), 'snapshot')}, {len(shown)} are shown." if len(shown) < len(taken) else ""
    rows = [(facts.moment(at), *[f"{sizes[row]:,}" for sizes in series.values()]) for row, at in enumerate(times)]
    enough = len(times) > 1
    return Chart(
        slug="sizes-over-time",
        subject="Sizes over time",
        finding=_finding(series, names, times),
        note=f"Users of each segment in each snapshot, by the clocks of the time zone {facts.timezone}.{some}"
        if enough
        else "Run `segmenter snapshot` again later, or regularly with --every.",
        table=Table(("snapshot", *names.values()), rows) if enough else Table((), []),
        draw=(lambda layout: _draw(facts, series, names, times, layout)) if enough else None,
    )


def _finding(series: Series, names: dict[str, str], times: Sequence[int]) -> str:
    if len(times) < 2:
        return "One snapshot so far: how sizes change shows from the second one on"
    changes = {slug: sizes[-1] - sizes[0] for slug, sizes in series.items()}
    slug = max(changes, key=lambda each: abs(changes[each]))
    first, last, lasted = series[slug][0], series[slug][-1], span(times[-1] - times[0])
    if not changes[slug]:
        return f"Every segment is as large as it was {lasted} ago"
    relative = f" ({changes[slug] / first:+.0%})" if first else ""
    verb = "grew" if last > first else "shrank"
    return f"{names[slug]} {verb} most: from {first:,} to {people(last)}{relative} in {lasted}"


def _draw(facts: Facts, series: Series, names: dict[str, str], times: Sequence[int], layout: Layout) -> Figure:
    from matplotlib import dates
    from matplotlib.ticker import MaxNLocator

    marks = dict.fromkeys(names, _GONE) | marks_of(list(facts.names))
    legend = 0 if layout.wide else 22 * len(names) + 22
    figure = sheet(layout, max(360 if layout.wide else 320, (40 + 18 * len(names)) if layout.wide else 0) + legend)
    height = 72 * figure.get_figheight() - legend - 74
    axes = panel(figure, 66, 12, layout.width - (66 + 256 if layout.wide else 80), height, layout.text)
    days = [at / 86_400_000 for at in times]
    most = max(max(sizes) for sizes in series.values())
    axes.set(xlim=(days[0], days[-1]), ylim=(0, 1.06 * max(most, 1)))
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    zone, made = facts.local(0).tzinfo, cast(Any, dates)  # untyped
    axes.xaxis.set_major_locator(made.AutoDateLocator(tz=zone, maxticks=6 if layout.wide else 4))
    axes.xaxis.set_major_formatter(made.ConciseDateFormatter(axes.xaxis.get_major_locator(), tz=zone))
    axes.xaxis.get_offset_text().set(size=layout.text, color=SOFT)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axes.set_ylabel("users", color=INK)
    axes.set_xlabel(f"time of the snapshot, {facts.timezone}", color=INK, labelpad=20)
    every = max(1, len(days) // 12)
    for slug, sizes in series.items():
        style: dict[str, Any] = {"color": marks[slug].colour, "marker": marks[slug].marker, "markeredgecolor": INK}
        (line,) = axes.plot(days, sizes, linewidth=2.2, markersize=7, markeredgewidth=0.6, clip_on=False, **style)
        line.set_markevery(((len(days) - 1) % every, every))
        if marks[slug].dash:
            line.set_dashes(marks[slug].dash)
    _labels(figure, axes, series, names, marks, layout)
    return figure


def _labels(
    figure: Figure, axes: Axes, series: Series, names: dict[str, str], marks: dict[str, Mark], layout: Layout
) -> None:
    """The name and the last size of each line: at its end or, on a narrow page, below, in the same order."""
    free, box = overlay(figure), axes.get_window_extent()
    bottom = 72 * figure.get_figheight()
    top, foot = bottom - box.y1, bottom - box.y0
    ends = {slug: top + (foot - top) * (1 - sizes[-1] / axes.get_ylim()[1]) for slug, sizes in series.items()}
    places = _apart(ends, 18, foot)
    for at, slug in enumerate(sorted(names, key=lambda each: ends[each])):
        x, y = (box.x1 + 24, places[slug]) if layout.wide else (26, foot + 88 + 22 * at)
        if layout.wide:
            free.plot([box.x1 + 6, x - 8], [ends[slug], y], color=SOFT, linewidth=0.6)
        free.scatter([x], [y], marker=marks[slug].marker, s=46, c=marks[slug].colour, edgecolors=INK, linewidths=0.6)
        label = f"{cut(names[slug], 21 if layout.wide else 26)} {series[slug][-1]:,}"
        free.text(x + 12, y, label, va="center", size=layout.text)


def _apart(wanted: dict[str, float], least: float, lowest: float) -> dict[str, float]:
    """Places near the wanted ones, in the same order, and so far apart that labels do not overlap.

    >>> _apart({"a": 10.0, "b": 12.0}, 18, 100)
    {'a': 10.0, 'b': 28.0}
    >>> _apart({"a": 99.0, "b": 100.0}, 18, 100.0)
    {'a': 82.0, 'b': 100.0}
    """
    ordered = sorted(wanted, key=lambda each: wanted[each])
    places: dict[str, float] = {}
    for at, slug in enumerate(ordered):
        places[slug] = max(wanted[slug], places[ordered[at - 1]] + least) if at else wanted[slug]
    for at in range(len(ordered) - 1, -1, -1):
        limit = places[ordered[at + 1]] - least if at + 1 < len(ordered) else lowest
        places[ordered[at]] = min(places[ordered[at]], limit)
    return places
