"""The users as marks on the axes of two features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from segmenter.kinds import Feature
from segmenter.model.features import is_count
from segmenter.model.vectors import squeezed
from segmenter.report.charts.axes import axes_of, scale_of, stretched
from segmenter.report.facts import Facts
from segmenter.report.style import SHARPNESS, SOFT, Mark, marks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

GOLDEN, SILVER = 5**0.5 / 2 - 0.5, 2**0.5 - 1
LAYERS = 10
"""Users are drawn in so many layers, each with users of all segments, so that no segment lies on top of the others."""


class Cloud(NamedTuple):
    """The users as marks, in a random order, and the axes they are drawn on."""

    segments: Sequence[str]
    x: Numbers
    y: Numbers
    """NaN: missing."""
    across: Feature
    up: Feature | None
    unit: float
    """What the values of ``y`` were divided by."""


def cloud_of(facts: Facts) -> Cloud:
    across, up = axes_of(facts.judging, facts.others)
    wide, high = scale_of(across, facts.currency), scale_of(up or across, facts.currency)
    users = facts.users.sample(frac=1, random_state=0)
    x = users[across.name].to_numpy(dtype=np.float64) / wide.divisor
    y = users[up.name].to_numpy(dtype=np.float64) / high.divisor if up else np.full(len(x), np.nan)
    return Cloud(users["segment"].tolist(), x, y, across, up, high.divisor)


def draw_marks(axes: Axes, facts: Facts, cloud: Cloud) -> None:
    """All marks as one image, however many there are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    box = axes.get_window_extent()
    apart = Figure(figsize=(box.width / 72, box.height / 72), dpi=SHARPNESS)
    canvas: Any = FigureCanvasAgg(apart)
    marked = apart.add_axes((0, 0, 1, 1))
    apart.patch.set_visible(False)
    marked.set_axis_off()
    marked.set_xscale("function", functions=(squeezed, stretched))
    marked.set_yscale("function", functions=(squeezed, stretched))
    marked.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    _scatter(marked, facts, cloud)
    canvas.draw()
    place: dict[str, Any] = {"extent": (0, 1, 0, 1), "transform": axes.transAxes, "aspect": "auto"}
    axes.set_autoscale_on(False)
    axes.imshow(np.asarray(canvas.buffer_rgba()), interpolation="none", zorder=2, **place)
    if 0 < np.isnan(cloud.y).sum() < len(cloud.y):
        axes.axhline(mean_of_others(cloud), color=SOFT, linewidth=0.8, zorder=0.9)


def _scatter(axes: Axes, facts: Facts, cloud: Cloud) -> None:
    marks, segments, known = marks_of(list(facts.names)), np.array(cloud.segments), ~np.isnan(cloud.y)
    spread = _spread(len(cloud.x), GOLDEN) / 3 if is_count(cloud.across.name) else np.zeros(len(cloud.x))
    x, y = cloud.x + spread, np.where(known, cloud.y, _heights(axes, cloud))
    layers = np.arange(len(x)) % LAYERS
    for layer in range(LAYERS):
        for slug in facts.names:
            here = (segments == slug) & (layers == layer)
            for hollow in (False, True):
                which = here & (known ^ hollow)
                if which.any():
                    _dots(axes, x[which], y[which], marks[slug], min(60.0, 1_000 / len(x) ** 0.5), hollow)


def _dots(axes: Axes, x: Numbers, y: Numbers, mark: Mark, size: float, hollow: bool) -> None:
    faces, edges, lines = ("none", mark.colour, 0.9) if hollow else (mark.colour, "none", 0.0)
    axes.scatter(x, y, s=size, marker=mark.marker, facecolors=faces, edgecolors=edges, linewidths=lines, alpha=0.75)


def mean_of_others(cloud: Cloud) -> float:
    """The mean of those who have a value, taken in log1p of the raw units."""
    return float(stretched(squeezed(cloud.y[~np.isnan(cloud.y)] * cloud.unit).mean()) / cloud.unit)


def _heights(axes: Axes, cloud: Cloud) -> Numbers:
    """Where users without a value stand: about the mean of the others, anywhere if there are none."""
    low, high = squeezed(np.array(axes.get_ylim()))
    middle, reach = (low + high) / 2, 0.46 * (high - low)
    if not np.isnan(cloud.y).all():
        middle, reach = squeezed(np.array(mean_of_others(cloud))), 0.035 * (high - low)
    return stretched(middle + reach * _spread(len(cloud.x), SILVER))


def _spread(count: int, ratio: float) -> Numbers:
    """So many numbers, evenly between -1 and 1, neighbours far apart: the fractions of an irrational's multiples."""
    return 2 * np.mod(ratio * np.arange(count, dtype=np.float64), 1.0) - 1
