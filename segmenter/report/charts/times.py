"""When the users of each segment are active: hours of the day and days of the week."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segmenter.analysis.profiles.times import WEEKDAYS, Times
from segmenter.report.chart import Chart, Layout, Table
from segmenter.report.facts import Facts
from segmenter.report.style import FAINT, INK, SOFT, Mark, draw_bars, marks_of, panel, sheet
from segmenter.report.words import cut, listed, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STANDS_OUT = 1.25
"""An hour or a day stands out if it has so many times the events of an average one."""

LEAST = 100
"""Of fewer events, none does."""

HEADING, HEIGHT, FOOT, MARGIN, AXIS = 26, 78, 30, 12, 42


def chart(facts: Facts) -> Chart:
    """A row of bars for each segment with events, and those of all other users as a line."""
    there = {slug: profile for slug, profile in facts.profiles.items() if profile.times.inside.events}
    names = [facts.names[slug] for slug in there]
    rows = [
        (f"{hour:02}:00", *[_share(each.times.inside, hour, "hours") for each in there.values()]) for hour in range(24)
    ]
    rows += [
        (day, *[_share(each.times.inside, at, "weekdays") for each in there.values()])
        for at, day in enumerate(WEEKDAYS)
    ]
    return Chart(
        slug="times",
        subject="Behaviour by hour and weekday",
        finding=_finding({facts.names[slug]: each.times.inside for slug, each in there.items()}),
        note=f"The share of the events of each segment, by the clocks of the time zone {facts.timezone}; the dashed "
        "line is that of all other users."
        if there
        else "Hours and weekdays are those of the raw events, which the sink loads.",
        table=Table(("hour or day", *names), rows) if there else Table((), []),
        draw=(lambda layout: _draw(facts, list(there), layout)) if there else None,
    )


def _share(times: Times, at: int, part: str) -> str:
    return percent(getattr(times, part)[at] / times.events)


def _finding(found: dict[str, Times]) -> str:
    """Which hours and days stand out, of all segments together if they agree."""
    if not found:
        return "The warehouse holds no events of these users: run `segmenter sink`"
    said = {name: _peaks(times) for name, times in found.items()}
    if not any(said.values()):
        return "No hour and no weekday stands out in any segment"
    if len(set(said.values())) == 1:
        whom = "All segments are" if len(said) > 1 else f"{next(iter(said))}:"
        return f"{whom} most active {next(iter(said.values()))}"
    name, peaks = next((name, peaks) for name, peaks in reversed(said.items()) if peaks)
    others = [other for other, theirs in said.items() if theirs == peaks and other != name]
    return f"{listed([name, *others[::-1]][:3])}: most active {peaks}"


def _peaks(times: Times) -> str:
    parts = []
    if times.events < LEAST:
        return ""
    if max(times.hours) * 24 >= STANDS_OUT * times.events:
        hour = times.hours.index(max(times.hours))
        parts.append(f"from {hour}:00 to {hour + 1}:00")
    if max(times.weekdays) * 7 >= STANDS_OUT * times.events:
        parts.append(f"on {WEEKDAYS[times.weekdays.index(max(times.weekdays))]}s")
    return listed(parts) if parts else ""


def _draw(facts: Facts, slugs: Sequence[str], layout: Layout) -> Figure:
    marks = marks_of(list(facts.names))
    across = layout.width - 2 * MARGIN - AXIS
    widths = ((across - AXIS) * 0.72, (across - AXIS) * 0.28) if layout.wide else (across, across)
    row = HEADING + HEIGHT + FOOT
    each = row if layout.wide else 2 * row - HEADING + 6
    figure = sheet(layout, each * len(slugs) + 22)
    sides = [facts.profiles[slug].times for slug in slugs]
    tops = [
        max(max(getattr(side.inside, part)) / side.inside.events for side in sides) for part in ("hours", "weekdays")
    ]
    every = 3 if layout.wide else 6
    for at, slug in enumerate(slugs):
        times, top = facts.profiles[slug].times, at * each + HEADING
        hours = panel(figure, MARGIN + AXIS, top, widths[0], HEIGHT, layout.text)
        place = (MARGIN + 2 * AXIS + widths[0], top) if layout.wide else (MARGIN + AXIS, top + HEIGHT + FOOT)
        days = panel(figure, *place, widths[1], HEIGHT, layout.text)
        _bars(hours, times.inside.hours, times.outside.hours, marks[slug], tops[0])
        _bars(days, times.inside.weekdays, times.outside.weekdays, marks[slug], tops[1])
        hours.set_xticks(range(0, 24, every), [f"{hour}:00" for hour in range(0, 24, every)])
        days.set_xticks(np.arange(7) + 0.5, [day[:2] if layout.wide else day[:3] for day in WEEKDAYS])
        name = cut(facts.names[slug], 50 if layout.wide else 32)
        hours.set_title(name, loc="left", size=layout.text + 1, weight="bold", pad=8)
        if layout.wide:
            days.set_title(_busiest(times.inside), loc="right", size=layout.text, color=SOFT, pad=8)
    hours.set_xlabel(f"hour of the day, {facts.timezone}" if layout.wide else "")
    days.set_xlabel("day of the week" if layout.wide else f"hour and day by the clocks of {facts.timezone}")
    return figure


def _busiest(times: Times) -> str:
    hour, day = (part.index(max(part)) for part in (times.hours, times.weekdays))
    return f"busiest: {hour}:00, {WEEKDAYS[day]}s"


def _bars(axes: Axes, inside: Sequence[int], outside: Sequence[int], mark: Mark, top: float) -> None:
    from matplotlib.ticker import MaxNLocator

    shares = np.array(inside) / sum(inside)
    axes.set(xlim=(0, len(shares)), ylim=(0, 100 * top * 1.05))
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:.3g}%" if number else "")
    draw_bars(axes, [(at + 0.12, 0, 0.76, 100 * share) for at, share in enumerate(shares)], mark)
    if sum(outside):
        line = 100 * np.array(outside) / sum(outside)
        axes.stairs(line, np.arange(len(line) + 1), color=INK, linewidth=1.3, linestyle=(0, (4, 2)), baseline=None)
