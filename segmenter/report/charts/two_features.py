"""A count against a mean or a sum: one mark per user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segmenter.kinds import Feature
from segmenter.model.features import is_count
from segmenter.model.generation import UNASSIGNED
from segmenter.model.vectors import squeezed
from segmenter.report.chart import Chart, Layout, Table
from segmenter.report.charts.axes import axes_of, limits, plain_ticks, scale_of, stretched
from segmenter.report.charts.characteristics import told, words
from segmenter.report.charts.cloud import Cloud, cloud_of, draw_marks, mean_of_others
from segmenter.report.facts import Facts
from segmenter.report.style import FAINT, INK, SOFT, marks_of, overlay, panel, sheet
from segmenter.report.words import cut, people

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


def chart(facts: Facts) -> Chart:
    """The users by two features, both axes in log1p.

    Marks are spread by up to a third of an event, so that equal users are seen. Users for whom the mean is missing are
    where the model puts them, at the mean of the others, taken in log1p: hollow, and spread about that line.
    """
    across, up = axes_of(facts.judging, facts.others)
    both = [each for each in (across, up) if each]
    medians = facts.users.groupby("segment")[[each.name for each in both]].median()
    rows = []
    for slug, name in facts.names.items():
        cells = [_median(medians, slug, each, facts.currency) for each in both]
        rows.append((name, f"{facts.counts[slug]:,}", *cells))
    spread = "Marks are spread by up to a third of an event; " if is_count(across.name) else ""
    subject = " and ".join([words(each).lower() for each in both])
    return Chart(
        slug="two-features",
        subject=f"Every user, by {subject}",
        finding=_finding(facts, both, medians),
        note=f"One mark a user. {spread}both axes are logarithmic above 1. Hollow marks: users without a value.",
        table=Table(("segment", "users", *[f"{words(each).lower()}, median" for each in both]), rows),
        draw=lambda layout: _draw(facts, layout),
    )


def _median(medians: pd.DataFrame, slug: str, feature: Feature, currency: str) -> str:
    value = medians[feature.name].get(slug, float("nan"))
    if value != value:
        return "no value"
    return f"{value:,.1f}".removesuffix(".0") if is_count(feature.name) else told(float(value), feature, currency)


def _finding(facts: Facts, both: Sequence[Feature], medians: pd.DataFrame) -> str:
    """The typical users of the most and of the least engaged segment."""

    def typical(slug: str) -> str:
        cells = [f"{_median(medians, slug, each, facts.currency)} {_unit(each)}" for each in both]
        return " and ".join([each for each in cells if not each.startswith("no value")])

    there = [slug for slug, count in facts.counts.items() if count and slug != UNASSIGNED] or list(facts.names)[:1]
    said = f"The median of {facts.names[there[-1]]}: {typical(there[-1])}"
    return said if len(there) == 1 else f"{said}; of {facts.names[there[0]]}: {typical(there[0])}"


def _unit(feature: Feature) -> str:
    if is_count(feature.name):
        return feature.unit
    one = feature.name.removesuffix("_ms").removesuffix("_amount").removeprefix("mean_").removeprefix("total_")
    return f"{'in' if feature.name.startswith('total_') else 'a'} {one.replace('_', ' ')}"


def _draw(facts: Facts, layout: Layout) -> Figure:
    cloud = cloud_of(facts)
    rows = len(facts.names) + 1
    if layout.wide:
        figure = sheet(layout, max(430, 60 + 44 * rows))
        axes = panel(figure, 66, 12, layout.width - 66 - 220, 360, layout.text)
        _legend(figure, facts, cloud, (layout.width - 196, 16), layout)
    else:
        figure = sheet(layout, 400 + 22 * rows)
        axes = panel(figure, 58, 10, layout.width - 70, 320, layout.text)
        _legend(figure, facts, cloud, (14, 400), layout)
    _axes(axes, cloud, facts.currency, layout)
    draw_marks(axes, facts, cloud)
    return figure


def _axes(axes: Axes, cloud: Cloud, currency: str, layout: Layout) -> None:
    known = cloud.y[~np.isnan(cloud.y)]
    axes.set(xlim=limits(cloud.x, 0.4), ylim=limits(known, 0.2))
    axes.set_xscale("function", functions=(squeezed, stretched))
    axes.set_yscale("function", functions=(squeezed, stretched))
    plain_ticks(axes.xaxis, cloud.x, sparse=not layout.wide)
    plain_ticks(axes.yaxis, known, sparse=not layout.wide)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_xlabel(scale_of(cloud.across, currency).label, color=INK)
    label = scale_of(cloud.up, currency).label if cloud.up else ""
    axes.set_ylabel(label if len(known) else "nobody has a value: the height means nothing", color=INK)
    if not len(known):
        axes.set_yticks([])


def _legend(figure: Figure, facts: Facts, cloud: Cloud, place: tuple[float, float], layout: Layout) -> None:
    """The segments with their marks, the most engaged on top as in the chart, and how many users have no value."""
    axes, marks, (left, top) = overlay(figure), marks_of(list(facts.names)), place
    step = 44 if layout.wide else 22
    style: dict[str, Any] = {"va": "center", "size": layout.text}
    lines = [(cut(name, 21), people(facts.counts[slug]), marks[slug]) for slug, name in facts.names.items()][::-1]
    for at, (name, size, mark) in enumerate(lines):
        y = top + at * step
        axes.scatter([left], [y], s=64, marker=mark.marker, c=mark.colour, linewidths=1.5 if mark.marker == "x" else 0)
        axes.text(left + 14, y, name if layout.wide else f"{name}, {size}", color=INK, **style)
        if layout.wide:
            axes.text(left + 14, y + 18, size, color=SOFT, **style)
    if missing := int(np.isnan(cloud.y).sum()):
        y = top + len(lines) * step
        about = f", at {mean_of_others(cloud):,.1f}" if missing < len(cloud.y) else ""
        axes.scatter([left], [y], s=64, facecolors="none", edgecolors=SOFT, linewidths=1)
        axes.text(
            left + 14,
            y,
            f"no value{about}" if layout.wide else f"no value{about}: {people(missing)}",
            color=INK,
            **style,
        )
        if layout.wide:
            axes.text(left + 14, y + 18, people(missing), color=SOFT, **style)
