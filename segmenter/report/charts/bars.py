"""Bars in panels: a name and its number above each bar, so that the longest name fits on the narrowest page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from segmenter.report.chart import Layout
from segmenter.report.style import FAINT, INK, SOFT, Mark, draw_bars, panel, sheet
from segmenter.report.words import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADING, ROW, FOOT, GAP, MARGIN = 34, 40, 46, 30, 14


class Bar(NamedTuple):
    """One bar. ``told`` is its number as people read it; without a value there is only that."""

    name: str
    value: float | None
    told: str
    mark: Mark


class Panel(NamedTuple):
    """Bars of one measure from 0 on, in the units of the axis."""

    title: str
    axis: str
    bars: Sequence[Bar]
    most: float | None = None
    """Where the axis ends; by default, at the longest bar."""


def draw(panels: Sequence[Panel], columns: int, layout: Layout) -> Figure:
    """The panels in so many columns; on a narrow page, in one."""
    columns = min(columns, len(panels)) if layout.wide else 1
    rows = -(-len(panels) // columns)
    height = HEADING + ROW * max(len(each.bars) for each in panels) + FOOT
    width = (layout.width - 2 * MARGIN - GAP * (columns - 1)) / columns
    figure = sheet(layout, rows * height)
    for at, each in enumerate(panels):
        left, top = MARGIN + at % columns * (width + GAP), at // columns * height
        axes = panel(figure, left, top + HEADING, width, ROW * len(each.bars), layout.text)
        _draw(axes, each, width, layout.text)
    return figure


def _draw(axes: Axes, each: Panel, width: float, text: float) -> None:
    from matplotlib.ticker import MaxNLocator

    values = [bar.value for bar in each.bars if bar.value is not None]
    low = min([0.0, *values])
    high = each.most if each.most is not None else max([0.0, *values])
    axes.set(xlim=(low, high if high > low else low + 1), ylim=(len(each.bars), 0))
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, int(width // 75))))
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.10g}")
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_xlabel(each.axis, labelpad=3)
    axes.annotate(
        each.title, (0, 1), (0, 12), "axes fraction", "offset points", color=INK, size=text + 1, weight="bold"
    )
    for row, one in enumerate(each.bars):
        room = int((width - 0.64 * text * len(one.told)) // (0.6 * text))
        line: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "textcoords": "offset points",
            "va": "baseline",
            "size": text,
        }
        axes.annotate(cut(one.name, max(room, 6)), (0, row + 0.37), (2, 0), color=INK, **line)
        told = INK if one.value is not None else SOFT
        axes.annotate(one.told, (1, row + 0.37), (0, 0), color=told, ha="right", **line)
        if one.value is not None:
            draw_bars(axes, [(min(0.0, one.value), row + 0.5, abs(one.value), 0.36)], one.mark)
