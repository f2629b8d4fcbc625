"""A figure as SVG within a page, which takes its colours from there, and as a PNG by itself."""

from __future__ import annotations

import re
import textwrap
import warnings
from io import BytesIO, StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from segmenter.report.chart import WIDE, Chart, Layout
from segmenter.report.style import FAINT, INK, PAPER, SHARPNESS, SOFT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIABLES = {INK: "var(--ink)", SOFT: "var(--soft)", FAINT: "var(--faint)", PAPER: "var(--paper)"}


def as_svg(figure: Figure, chart: Chart, layout: Layout) -> str:
    """The figure as an element of HTML, with ids of its own, and the colours and the font of the page."""
    written = StringIO()
    with warnings.catch_warnings(action="ignore"):  # of letters that the font lacks: the reader's has them
        figure.savefig(written, format="svg", dpi=SHARPNESS, transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    for unwanted in root.findall("{*}metadata"):
        root.remove(unwanted)
    prefix = f"{chart.slug}-{layout.name}-"
    for element in root.iter():
        element.tag = element.tag.partition("}")[2]
        element.attrib = {
            name.partition("}")[2] or name: _value(name, value, prefix) for name, value in element.attrib.items()
        }
    for size in ("width", "height"):
        del root.attrib[size]
    root.attrib |= {"class": layout.name, "role": "img", "aria-label": f"{chart.subject}. {chart.finding}."}
    return ElementTree.tostring(root, encoding="unicode")


def _value(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name.endswith("href"):
        return f"#{prefix}{value[1:]}" if value.startswith("#") else value
    value = re.sub(r"url\(#", f"url(#{prefix}", value)
    if name == "style":
        value = re.sub(r"(font: (?:\w+ )*[\d.]+px) [^;]+", r"\1 var(--font)", value)
    if name in ("style", "fill", "stroke"):
        for colour, variable in VARIABLES.items():
            value = value.replace(colour, variable)
        if name != "style" and value.startswith("var("):
            return value
    return value


def as_png(figure: Figure, chart: Chart, below: str) -> bytes:
    """The figure as a PNG, under its finding, and with what it is of below."""
    _frame(figure, chart, below)
    written = BytesIO()
    with warnings.catch_warnings(action="ignore"):
        figure.savefig(written, format="png", dpi=SHARPNESS, facecolor=PAPER, pil_kwargs={"compress_level": 3})
    return written.getvalue()


def _frame(figure: Figure, chart: Chart, below: str) -> None:
    title = textwrap.wrap(chart.finding, 74)
    notes = textwrap.wrap(f"{chart.note} {below}", 112)
    before = 72 * figure.get_figheight()
    head, foot = 30 + 26 * len(title), 20 + 18 * len(notes)
    places = [axes.get_position() for axes in figure.axes]
    after = before + head + foot
    figure.set_figheight(after / 72)
    for axes, box in zip(figure.axes, places, strict=True):
        axes.set_position((box.x0, (box.y0 * before + foot) / after, box.width, box.height * before / after))
    inset = 14 / WIDE.width
    for at, line in enumerate(title):
        figure.text(inset, 1 - (28 + 26 * at) / after, line, size=18, weight="bold", color=INK)
    for at, line in enumerate(notes):
        figure.text(inset, (foot - 12 - 18 * at) / after, line, size=12, color=SOFT)
