"""A chart: the sentence that it shows, how it is drawn, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Layout(NamedTuple):
    """The paper that a figure is drawn on: how wide it is, and how large its text is, in pixels."""

    name: str
    width: int
    text: float

    @property
    def wide(self) -> bool:
        """Whether parts of the figure stand side by side."""
        return self.width > 600


WIDE, NARROW = Layout("wide", 880, 13), Layout("narrow", 340, 13.5)


class Table(NamedTuple):
    """The numbers of a chart. The first cell of a row is its heading."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Chart(NamedTuple):
    """One section of the page, and one PNG."""

    slug: str
    subject: str
    """What it is about, in a few words."""
    finding: str
    """What the data say; the title."""
    note: str
    """How to read it: what is counted, in which units, since when."""
    table: Table
    draw: Callable[[Layout], Figure] | None
    """None if there is nothing to draw; then the finding says why."""
