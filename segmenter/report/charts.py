"""The charts of a snapshot: one function each, from plain data to a figure of Matplotlib.

Matplotlib comes with the extra ``report`` and is imported when something is drawn; it needs no display.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.model.generation import Generation, name_of
from segmenter.settings import Settings
from segmenter.warehouse import Snapshot
from segmenter.warehouse.snapshot_contents import read_users

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

INK, GREY, FAINT = "#262626", "#6b6b6b", "#e6e6e6"
GOLDEN, SILVER = 5**0.5 / 2 - 0.5, 2**0.5 - 1


class Portrait(NamedTuple):
    """A snapshot as it is drawn."""

    snapshot: Snapshot
    names: dict[str, str]
    """The name of each segment by its slug, least engaged first."""
    users: pd.DataFrame
    """One row per user: ``segment`` (slug), ``total_clicks``, ``mean_view_ms`` (NaN: no view was timed)."""


def read(settings: Settings) -> Portrait:
    """The latest snapshot of the warehouse. Raises `UsageError` when there is none."""
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        snapshot = warehouse.find_snapshot(database)
        users = read_users(database, snapshot.snapshot_id)
        if users.empty:
            raise UsageError(
                f"snapshot {snapshot.snapshot_id} holds no users: publish events, run `segmenter worker --once` and "
                "`segmenter snapshot`."
            )
        generation = warehouse.snapshot_generation(database, snapshot.snapshot_id)
    return Portrait(snapshot, names_in_order(generation, users["segment"].unique().tolist()), users)


def names_in_order(generation: Generation | None, present: Sequence[str]) -> dict[str, str]:
    """The names of a model's segments by slug, as it orders them; before them those that only ``present`` has.

    >>> names_in_order(None, ["unassigned"])
    {'unassigned': 'Unassigned'}
    """
    known = {} if generation is None else {segment.slug: segment.name for segment in generation.segments}
    return {slug: name_of(slug) for slug in sorted(set(present) - known.keys())} | known


def draw(portrait: Portrait, folder: Path) -> list[Path]:
    """Write every plot into ``folder`` as PNG, and return the files. Raises `UsageError` when Matplotlib is missing."""
    figures = {name: plot(portrait) for name, plot in PLOTS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=160)
    return [folder / f"{name}.png" for name in figures]


def clicks_and_time(portrait: Portrait) -> Figure:
    """Total clicks against mean time on articles, one mark per user, coloured by segment; both axes are in log1p.

    Marks are spread by up to a third of a click, so that equal users are seen. Users without a timed view are where the
    model puts them, at the mean of the others, taken in log1p: hollow, and spread about that line.
    """
    figure, axes = _figure(portrait, "clicks and time on articles", max(6.2, 1.2 + 0.5 * len(portrait.names)))
    users = portrait.users.sample(frac=1, random_state=0)  # shuffled, so that no segment lies on top of the others
    clicks = users["total_clicks"].to_numpy(dtype=np.float64)
    seconds = users["mean_view_ms"].to_numpy(dtype=np.float64) / 1_000
    colours = _colours(portrait)
    shades = np.array([colours[slug] for slug in users["segment"]]).reshape(-1, 4)
    timed = ~np.isnan(seconds)
    most, longest = float(clicks.max(initial=1)), float(seconds[timed].max(initial=1))
    axes.set(xlim=(-0.4, np.expm1(1.04 * np.log1p(most))), ylim=(-0.2, np.expm1(1.04 * np.log1p(longest))))
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_yscale("function", functions=(np.log1p, np.expm1))
    _plain_ticks(axes.xaxis, most)
    _plain_ticks(axes.yaxis, longest)
    axes.set_xlabel("total clicks (marks are spread by up to a third of a click)", color=INK)
    axes.set_ylabel("mean time on articles, in seconds", color=INK)

    for slug, size in reversed(_sizes(portrait).items()):
        axes.scatter([], [], s=40, color=[colours[slug]], label=f"{portrait.names[slug]}\n{_people(size)}")
    marks = clicks + _spread(len(clicks), GOLDEN) / 3
    size = min(11.0, 800 / max(1, len(clicks)) ** 0.5)
    axes.scatter(marks[timed], seconds[timed], s=size, c=shades[timed], alpha=0.55, linewidths=0)
    if not timed.all():
        _untimed(axes, marks[~timed], shades[~timed], 0.7 * size, seconds[timed])
    figure.legend(loc="outside right upper", frameon=False, labelspacing=1.1, handletextpad=0.4, labelcolor=INK)
    return figure


def _untimed(axes: Axes, marks: Numbers, shades: Numbers, size: float, seconds: Numbers) -> None:
    """The users without a timed view, about the mean of the others' ``seconds``; anywhere if there are no others."""
    low, high = np.log1p(axes.get_ylim())
    label = f"no timed view\n{_people(len(marks))}"
    if len(seconds):
        mean = float(np.expm1(np.log1p(1_000 * seconds).mean()) / 1_000)
        middle, reach = np.log1p(mean), 0.035 * (high - low)
        axes.axhline(mean, color=GREY, linewidth=0.7, zorder=0.9)
        label += f", set about\nthe mean: {mean:,.1f} s (in log1p)"
    else:
        middle, reach = (low + high) / 2, 0.46 * (high - low)
        axes.set_yticks([])
        axes.set_ylabel("nobody has a timed view: the height means nothing", color=INK)
    heights = np.expm1(middle + reach * _spread(len(marks), SILVER))
    axes.scatter(
        marks, heights, s=size, marker="D", facecolors="none", edgecolors=list(shades), linewidths=0.5, alpha=0.7
    )
    axes.scatter([], [], s=24, marker="D", facecolors="none", edgecolors=GREY, linewidths=0.7, label=label)


def segment_sizes(portrait: Portrait) -> Figure:
    """How many users are in each segment, and their share of all."""
    figure, axes = _figure(portrait, "size of each segment", 1.6 + 0.55 * len(portrait.names))
    sizes, colours = _sizes(portrait), _colours(portrait)
    rows = axes.barh(list(portrait.names.values()), list(sizes.values()), color=list(colours.values()), height=0.66)
    total = max(1, len(portrait.users))
    axes.bar_label(rows, [f"{size:,}  ({size / total:.1%})" for size in sizes.values()], padding=6, color=INK)
    axes.set_xlim(0, 1.18 * max(1, *sizes.values()))
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", labelsize=10, labelcolor=INK)
    return figure


PLOTS = {"clicks-and-time": clicks_and_time, "segment-sizes": segment_sizes}
"""Every plot, by the name of its file."""


def _figure(portrait: Portrait, subject: str, height: float) -> tuple[Figure, Axes]:
    """An empty plot that says what it is of, and when."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError("plots need Matplotlib, which is not here: pip install 'segmenter[report]'.") from None
    figure = Figure(figsize=(9.8, height), layout="constrained")
    axes = figure.add_subplot()
    snapshot = portrait.snapshot
    taken = datetime.fromtimestamp(snapshot.taken_ms / 1_000, UTC)
    model = f"generation {snapshot.generation}" if snapshot.generation else "no generation yet"
    axes.set_title(f"{_people(len(portrait.users))}: {subject}", loc="left", pad=26, color=INK, size=14, weight="bold")
    axes.annotate(
        f"snapshot {snapshot.snapshot_id} of {taken:%Y-%m-%d %H:%M:%S} UTC · {model}",
        (0, 1), (0, 10), xycoords="axes fraction", textcoords="offset points", color=GREY,
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(length=0, labelcolor=GREY)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _plain_ticks(axis: Axis, largest: float) -> None:
    """Label 0, 1 and what follows in steps that leave room for the numbers."""
    steps = (1, 2, 5) if largest < 1_000 else (1, 3) if largest < 100_000 else (1,)
    ticks = [0, *[tick for power in range(19) for step in steps if (tick := step * 10**power) <= largest]]
    axis.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])


def _spread(count: int, ratio: float) -> Numbers:
    """So many numbers, evenly between -1 and 1, neighbours far apart: the fractions of an irrational's multiples."""
    return 2 * np.mod(ratio * np.arange(count, dtype=np.float64), 1.0) - 1


def _sizes(portrait: Portrait) -> dict[str, int]:
    counts = portrait.users["segment"].value_counts()
    return {slug: int(counts.get(slug, 0)) for slug in portrait.names}


def _people(count: int) -> str:
    return f"{count:,} user" if count == 1 else f"{count:,} users"


def _colours(portrait: Portrait) -> dict[str, tuple[float, ...]]:
    """A colour per segment, darker for less engaged: brightness alone distinguishes them, for any eye, and in grey."""
    from matplotlib import colormaps

    shades = colormaps["plasma"](np.linspace(0.02, 0.76, len(portrait.names)))
    return {slug: tuple(shade) for slug, shade in zip(portrait.names, shades.tolist(), strict=True)}
