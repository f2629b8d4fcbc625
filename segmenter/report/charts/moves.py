"""Moves of users between segments, and whether their own behaviour, the model or a repair was the cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segmenter.model.generation import UNASSIGNED, name_of
from segmenter.report.chart import Chart, Layout, Table
from segmenter.report.facts import Facts
from segmenter.report.style import INK, NEUTRAL, PAPER, SOFT, Mark, draw_bars, marks_of, overlay, sheet
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
    slugs = list(names)[::-1]  # the most engaged on top
    sides = [[slug for slug in slugs if any(each[side] == slug for each in moves)] for side in (0, 1)]
    most = max(map(len, sides))
    flow = max(260, 36 * most)
    bottom = 30 + flow + _GAP * most
    figure = sheet(layout, bottom + 24 * len(causes) + 16)
    axes, scale = overlay(figure), flow / causes.total()
    marks = {slug: Mark(NEUTRAL, "", "8", ()) for slug in names} | marks_of(list(facts.names))
    tops = [_nodes(axes, moves, side, sides[side], most, scale) for side in (0, 1)]
    left, right = _MARGIN, layout.width - _MARGIN - _NODE
    ends = [_stacked(moves, side, slugs, tops[side], scale) for side in (0, 1)]
    for each in moves:
        y0, y1 = ends[0][each[:3]], ends[1][each[:3]]
        mark = marks[each.from_segment]
        _ribbon(axes, (left + _NODE, y0), (right, y1), scale * each.moves, mark, each.cause)
    for side, x in enumerate((left, right)):
        edge, align = (x + side * _NODE), ("left", "right")[side]
        axes.text(edge, 14, ("from", "to")[side], size=layout.text, color=SOFT, ha=align)
        for slug, top in tops[side].items():
            count = sum(each.moves for each in moves if each[side] == slug)
            draw_bars(axes, [(x, top, _NODE, scale * count)], marks[slug]._replace(hatch=""))
            label = f"{cut(names[slug], int(layout.width / 2 / 8.6) - len(f' {count:,}'))} {count:,}"
            paper = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}
            axes.text(edge, top - 7, label, size=layout.text, color=INK, ha=align, bbox=paper)
    for at, (cause, count) in enumerate(causes.most_common()):
        y = bottom + 24 * at
        draw_bars(axes, [(left, y, 30, 14)], Mark(NEUTRAL, _HATCHES.get(cause, "++++"), "", ()))
        told = f"by {CAUSES.get(cause, cause)}: {count:,}, {percent(count / causes.total())}"
        axes.text(left + 40, y + 8, told, size=layout.text, va="center")
    return figure


def _nodes(
    axes: Axes, moves: Sequence[SegmentMoves], side: int, slugs: Sequence[str], most: int, scale: float
) -> dict[str, float]:
    """Where the segments of a side begin, one below the other, with room for a label above each."""
    tops, top = {}, 54 + _GAP * (most - len(slugs)) / 2
    for slug in slugs:
        tops[slug] = top
        top += scale * sum(each.moves for each in moves if each[side] == slug) + _GAP
    return tops


def _stacked(
    moves: Sequence[SegmentMoves], side: int, slugs: Sequence[str], tops: dict[str, float], scale: float
) -> dict[tuple[str, str, str], float]:
    """Where each ribbon begins on a side, in the order of the segments on the other one, so that few cross."""
    free, found = dict(tops), {}
    for each in sorted(moves, key=lambda each: (slugs.index((each.to_segment, each.from_segment)[side]), each.cause)):
        here = (each.from_segment, each.to_segment)[side]
        found[each[:3]] = free[here]
        free[here] += scale * each.moves
    return found


def _ribbon(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], thick: float, mark: Mark, cause: str
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x0, y0), (x1, y1) = start, end
    middle, thick = (x0 + x1) / 2, max(thick, 1.0)
    points = [(x0, y0), (middle, y0), (middle, y1), (x1, y1)]
    back = [(x1, y1 + thick), (middle, y1 + thick), (middle, y0 + thick), (x0, y0 + thick)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    path = Path([*points, *back, (x0, y0)], codes)
    axes.add_patch(
        PathPatch(
            path, facecolor=mark.colour, edgecolor=PAPER, linewidth=0, alpha=0.6, hatch=_HATCHES.get(cause, "++++")
        )
    )
    axes.add_patch(PathPatch(path, fill=False, edgecolor=INK, linewidth=0.4, alpha=0.6))
