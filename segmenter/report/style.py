"""Colours, marks and the parts that figures are made of. All sizes are in pixels.

The colours are those of Okabe and Ito, which everybody can tell apart; each segment has a hatch, a marker and a dash
too.
Matplotlib comes with the extra ``report`` and is imported when something is drawn; it needs no display.

Reference: Okabe and Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from segmenter.errors import UsageError
from segmenter.model.generation import UNASSIGNED
from segmenter.report.chart import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT, PAPER = "#1c2024", "#565d64", "#d9dee3", "#ffffff"
"""Text, text beside, lines, and what is behind them; each is another one on a dark page."""
SKY, BLUE, GREEN, YELLOW, ORANGE, RED, PURPLE = (
    *("#56b4e9", "#0072b2", "#009e73", "#f0e442", "#e69f00", "#d55e00", "#cc79a7"),
)
NEUTRAL = "#8a9199"

SHARPNESS = 144
"""Pixels per inch of images: two for each pixel of the page."""

_COOL_TO_WARM = (SKY, BLUE, GREEN, YELLOW, ORANGE, RED, PURPLE)
_PICKED = {1: (BLUE,), 2: (BLUE, ORANGE), 3: (SKY, BLUE, ORANGE), 4: (SKY, BLUE, ORANGE, RED)}
_PICKED |= {5: (SKY, BLUE, GREEN, ORANGE, RED), 6: (SKY, BLUE, GREEN, ORANGE, RED, PURPLE)}
_HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//", "\\\\", "xx", "--", "||")
"""Of lines only: an SVG of dots is large."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2), (10, 3), (4, 1), (1, 1), (12, 2, 1, 2))


class Mark(NamedTuple):
    """How a segment is shown: by a colour, and for who sees no colours by a hatch, a marker and a dash."""

    colour: str
    hatch: str
    marker: str
    dash: tuple[float, ...]


def marks_of(slugs: Sequence[str]) -> dict[str, Mark]:
    """A mark for each segment; users without a segment are grey."""
    judged = [slug for slug in slugs if slug != UNASSIGNED]
    colours = _PICKED.get(len(judged), _COOL_TO_WARM)
    marks = {UNASSIGNED: Mark(NEUTRAL, "", "8", (1, 3))}
    for at, slug in enumerate(judged):
        marks[slug] = Mark(colours[at % len(colours)], _HATCHES[at % 12], _MARKERS[at % 12], _DASHES[at % len(_DASHES)])
    return {slug: marks[slug] for slug in slugs}


@contextmanager
def styled() -> Iterator[None]:
    """The settings of Matplotlib for everything that is drawn and written within. Raises `UsageError` without it."""
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError:
        raise UsageError("the report needs Matplotlib, which is not here: pip install 'segmenter[report]'.") from None
    ours = {
        "font.family": ["DejaVu Sans"],
        "text.parse_math": False,  # a name may hold dollar signs
        "svg.fonttype": "none",
        "svg.hashsalt": "segmenter",
        "hatch.linewidth": 1.2,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": SOFT,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": SOFT,
        "text.color": INK,
        "axes.unicode_minus": True,
    }
    with rc_context(ours):  # type: ignore[arg-type]
        yield


def sheet(layout: Layout, height: float) -> Figure:
    """An empty figure: one point of Matplotlib is one pixel of the page."""
    from matplotlib.figure import Figure

    return Figure(figsize=(layout.width / 72, height / 72), dpi=72)


def panel(figure: Figure, left: float, top: float, width: float, height: float, text: float = 13) -> Axes:
    """Axes at this place of the figure, counted from its upper left corner."""
    across, down = (72 * each for each in figure.get_size_inches())
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, labelsize=text)
    axes.xaxis.label.set_fontsize(text)
    axes.yaxis.label.set_fontsize(text)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    return axes


def overlay(figure: Figure) -> Axes:
    """Axes over the whole figure, in pixels from its upper left corner, for what is drawn by hand."""
    across, down = (72 * each for each in figure.get_size_inches())
    axes = panel(figure, 0, 0, across, down)
    axes.set_axis_off()
    axes.set(xlim=(0, across), ylim=(down, 0))
    return axes


def draw_bars(axes: Axes, boxes: Iterable[tuple[float, float, float, float]], mark: Mark) -> None:
    """Bars (left, bottom, width, height) with a hatch in the colour of the paper, and an outline: on it, light colours
    are faint."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners: list[tuple[float, float]] = []
    for left, bottom, width, height in boxes:
        right, top = left + width, bottom + height
        corners += [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    steps = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * (len(corners) // 5)
    path = Path(corners, steps)
    axes.add_patch(PathPatch(path, facecolor=mark.colour, edgecolor=PAPER, linewidth=0, hatch=mark.hatch))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=INK, linewidth=0.7))
