"""The charts of the report, one module each: what the data say in a sentence, the picture, and the table behind it."""

from __future__ import annotations

from segmenter.report.chart import Chart
from segmenter.report.charts import algorithms, characteristics, distribution, moves, sizes, times, two_features
from segmenter.report.facts import Facts


def charts_of(facts: Facts) -> list[Chart]:
    """All charts, in the order of the page."""
    parts = (distribution, characteristics, times, two_features, sizes, moves, algorithms)
    return [part.chart(facts) for part in parts]
