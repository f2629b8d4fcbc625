"""Moves of users between segments, and whether their own behaviour, the model or a repair was the cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segmenter.model.generation import UNASSIGNED, name_of
from segmenter.report.chart import Chart, Layout, Table
from segmenter.report.facts import Facts
from segmenter.report.style import INK, NEUTRAL, PAPER, SOFT, Mark, bar, marks_of, overlay, sheet
from segmenter.report.words import cut, listed, percent, plural
from segmenter.warehouse import SegmentMoves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAUSES = {"behaviour": "the users' behaviour", "model": "the model", "repair": "repairs"}
_HATCHES = {"behaviour": "", "model": "////", "repair": "xxxx"}
_NODE, _GAP, _MARGIN = 14, 34, 14


def chart(facts: Facts) -> Chart:
    """From where to where; a sentence if nobody has moved."""
    moves = [each for each in facts.moves if each.from_segment != UNASSIGNED and each.moves]
    first = sum(each.moves for each in facts.moves) - sum(each.moves for each in moves)
    causes = Counter[str]()
    for each in moves:
        causes[each.cause] += each.moves
    names = _names(facts)
    return Chart(
        slug="moves",
        subject="Moves between segments",
        finding=_finding(causes),
        note=_note(facts, first, bool(moves)),
        table=_table(moves, names),
        draw=(lambda layout: _draw(moves, causes, names, facts, layout)) if moves else None,
    )


def _names(facts: Facts) -> dict[str, str]:
    """Those of now in their order, then the segments that users have left and that are no more."""
    slugs = [slug for each in facts.moves for slug in (each.from_segment, each.to_segment)]
    return facts.names | {slug: name_of(slug) for slug in slugs if slug not in facts.names}


def _finding(causes: Counter[str]) -> str:
    total = causes.total()
    if not total:
        return "No user is known to have moved from one segment to another"
    there = [(CAUSES.get(cause, cause), count) for cause, count in causes.most_common()]
    if len(there) == 1:
        return f"{'The only move' if total == 1 else f'All {total:,} moves'} came from {there[0][0]}"
    shares = [f"{percent(count / total)} from {whom}" for whom, count in there]
    return f"Of {total:,} moves, {listed(shares).replace(' from', ' came from', 1)}"


def _note(facts: Facts, first: int, any_moves: bool) -> str:
    parts = []
    if facts.period:
        since, until = facts.moment(facts.period.first_ms), facts.moment(facts.period.last_ms)
        parts.append(f"From {since} to {until}, time zone {facts.timezone}.")
        if not facts.period.whole:
            parts.append("Some changes of this time may be unknown: not all of it was read from the change feed.")
    if any_moves:
        parts.append("Who moves twice counts twice.")
    elif not facts.period:
        parts.append("`segmenter snapshot` reads the moves from the change feed.")
    if first:
        parts.append(f"Not counted: {plural(first, 'first judgement')} of new users.")
    return " ".join(parts)


def _table(moves: Sequence[SegmentMoves], names: dict[str, str]) -> Table:
    counted: dict[tuple[str, str], Counter[str]] = {}
    for each in moves:
        counted.setdefault((each.from_segment, each.to_segment), Counter())[each.cause] += each.moves
    known = list(dict.fromkeys([*CAUSES, *[each.cause for each in moves]]))
    rows = [
        (names[pair[0]], names[pair[1]], *[f"{by[cause]:,}" for cause in known], f"{by.total():,}")
        for pair, by in sorted(counted.items(), key=lambda each: -each[1].total())
    ]
    return Table(("from", "to", *known, "all"), rows) if rows else Table((), [])


def _draw(
    moves: Sequence[SegmentMoves], causes: Counter[str], names: dict[str, str], facts: Facts, layout: Layout
) -> Figure:
    total = causes.total()
    slugs = list(names)[::-1]  # the most engaged on top
    sides = [[slug for slug in slugs if any(each[side] == slug for each in moves)] for side in (0, 1)]
    most = max(map(len, sides))
    flow = max(240, 36 * most)
    bottom = 30 + flow + _GAP * most
    figure = sheet(layout, bottom + 24 * len(causes) + 16)
    axes, scale = overlay(figure), flow / total
    marks = {slug: Mark(NEUTRAL, "", "x", ()) for slug in names} | marks_of(list(facts.names))
    left, right = _MARGIN, layout.width - _MARGIN - _NODE
    free: list[dict[str, float]] = []
    for side, x in enumerate((left, right)):
        tops, top = {}, 30 + _GAP * (most - len(sides[side])) / 2
        axes.text(x if not side else x + _NODE, 14, ("from", "to")[side], size=layout.text, color=SOFT, ha=("left", "right")[side])
        for slug in sides[side]:
            count = sum(each.moves for each in moves if each[side] == slug)
            room = int(layout.width / 2 / 8.6) - len(f" {count:,}")
            label = f"{cut(names[slug], room)} {count:,}"
            axes.text(x if not side else x + _NODE, top + 17, label, size=layout.text, color=INK, ha=("left", "right")[side])
            tops[slug] = top + 24
            bar(axes, x, top + 24, _NODE, scale * count, marks[slug]._replace(hatch=""))
            top += 24 + scale * count + _GAP - 24
        free.append(tops)
    place = {slug: at for at, slug in enumerate(slugs)}
    ordered = sorted(moves, key=lambda each: (place[each.from_segment], place[each.to_segment], each.cause))
    right_of = {}
    for each in sorted(moves, key=lambda each: (place[each.to_segment], place[each.from_segment], each.cause)):
        right_of[each[:3]] = free[1][each.to_segment]
        free[1][each.to_segment] += scale * each.moves
    for each in ordered:
        y = free[0][each.from_segment]
        free[0][each.from_segment] += scale * each.moves
        _ribbon(axes, (left + _NODE, y), (right, right_of[each[:3]]), scale * each.moves, marks[each.from_segment], each.cause)
    for at, (cause, count) in enumerate(causes.most_common()):
        y = bottom + 24 * at
        bar(axes, left, y, 30, 14, Mark(NEUTRAL, _HATCHES.get(cause, "++++"), "", ()))
        axes.text(left + 40, y + 8, f"by {CAUSES.get(cause, cause)}: {count:,}, {percent(count / total)}", size=layout.text, va="center")
    return figure


def _ribbon(axes: Axes, start: tuple[float, float], end: tuple[float, float], thick: float, mark: Mark, cause: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x0, y0), (x1, y1) = start, end
    middle, thick = (x0 + x1) / 2, max(thick, 1.0)
    points = [(x0, y0), (middle, y0), (middle, y1), (x1, y1)]
    back = [(x1, y1 + thick), (middle, y1 + thick), (middle, y0 + thick), (x0, y0 + thick)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    path = Path([*points, *back, (x0, y0)], codes)
    axes.add_patch(PathPatch(path, facecolor=mark.colour, edgecolor=PAPER, linewidth=0, alpha=0.6, hatch=_HATCHES.get(cause, "++++")))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=INK, linewidth=0.4, alpha=0.6))
