"""The page: one file of HTML that needs no other, and the charts beside it as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from segmenter.analysis.profiles.words import printable
from segmenter.model.generation import UNASSIGNED
from segmenter.report.cards import cards_of
from segmenter.report.chart import NARROW, WIDE, Chart
from segmenter.report.charts import charts_of
from segmenter.report.facts import Facts
from segmenter.report.output import put
from segmenter.report.pictures import as_png, as_svg
from segmenter.report.status import freshness, verdict
from segmenter.report.style import styled
from segmenter.report.words import people, plural

INDEX = "index.html"


class Section(NamedTuple):
    """A chart as the page shows it: in two layouts, of which one is seen."""

    chart: Chart
    pictures: Sequence[Markup]


def write(facts: Facts, folder: Path) -> tuple[list[Chart], list[Path]]:
    """Write the page and the PNGs into ``folder``; the page is the first of the files.

    PNGs of an earlier report that are not drawn this time are removed. Raises `UsageError` without Matplotlib, or when
    the files cannot be written; each is there as a whole, or as it was before.
    """
    with styled():
        charts = charts_of(facts)
        sections, pictures = [], dict[str, bytes]()
        for chart in charts:
            drawn: list[Markup] = []
            if chart.draw:
                narrow, wide = chart.draw(NARROW), chart.draw(WIDE)
                drawn = [Markup(as_svg(wide, chart, WIDE)), Markup(as_svg(narrow, chart, NARROW))]
                pictures[f"{chart.slug}.png"] = as_png(wide, chart, _of(facts))
            sections.append(Section(chart, drawn))
    outdated = [f"{chart.slug}.png" for chart in charts if not chart.draw]
    *drawings, page = put(folder, pictures | {INDEX: render(facts, sections).encode()}, outdated)
    return charts, [page, *drawings]


def render(facts: Facts, sections: Sequence[Section]) -> str:
    """The page as HTML. Every text is escaped; what is no printable character is shown as an escape."""
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = printable
    return environment.get_template("page.html").render(
        css=Markup(_source("page.css")),
        facts=facts,
        freshness=freshness(facts),
        verdict=verdict(facts),
        cards=cards_of(facts),
        sections=sections,
        heading=_heading(facts),
        of=_of(facts),
    )


def _heading(facts: Facts) -> str:
    segments = len(facts.names.keys() - {UNASSIGNED})
    users = people(len(facts.users))
    return f"{users} in {plural(segments, 'segment')}" if segments else f"{users}, no segments yet"


def _of(facts: Facts) -> str:
    taken = f"{facts.local(facts.snapshot.taken_ms):%Y-%m-%d %H:%M:%S}"
    model = f"generation {facts.snapshot.generation}" if facts.snapshot.generation else "no generation yet"
    return f"Snapshot {facts.snapshot.snapshot_id} of {taken} ({facts.timezone}), {model}."


def _source(name: str) -> str:
    return files("segmenter.report").joinpath(name).read_text("utf-8")
