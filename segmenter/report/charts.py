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
from segmenter.kinds import Feature, catalogue
from segmenter.model.features import is_count, named
from segmenter.model.generation import Generation, name_of
from segmenter.model.vectors import squeezed
from segmenter.report.axes import axes_of, limits, plain_ticks, scale_of, stretched
from segmenter.settings import Settings
from segmenter.warehouse import Snapshot
from segmenter.warehouse.snapshot_contents import read_users

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
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
    """One row per user: ``segment`` (slug), and each of the features (NaN: missing)."""
    judging: tuple[Feature, ...]
    """The features that users are judged by."""
    others: tuple[Feature, ...]
    currency: str


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
    names = names_in_order(generation, users["segment"].unique().tolist())
    judging = named(generation.features, settings.kinds) if generation else settings.judging
    others = tuple([feature for feature in catalogue(settings.kinds) if feature not in judging])
    return Portrait(snapshot, names, users, judging, others, settings.currency)


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


def two_features(portrait: Portrait) -> Figure:
    """A count against a mean or a sum, one mark per user, coloured by segment; both axes are in log1p.

    Marks are spread by up to a third of an event, so that equal users are seen. Users for whom the mean is missing are
    where the model puts them, at the mean of the others, taken in log1p: hollow, and spread about that line.
    """
    across, up = axes_of(portrait.judging, portrait.others)
    wide, high = scale_of(across, portrait.currency), scale_of(up or across, portrait.currency)
    subject = " and ".join([scale.label.partition(",")[0] for scale in ([wide, high] if up else [wide])])
    figure, axes = _figure(portrait, subject, max(6.2, 1.2 + 0.5 * len(portrait.names)))
    users = portrait.users.sample(frac=1, random_state=0)  # shuffled, so that no segment lies on top of the others
    x = users[across.name].to_numpy(dtype=np.float64) / wide.divisor
    y = users[up.name].to_numpy(dtype=np.float64) / high.divisor if up else np.full(len(x), np.nan)
    colours = _colours(portrait)
    shades = np.array([colours[slug] for slug in users["segment"]]).reshape(-1, 4)
    known = ~np.isnan(y)
    axes.set(xlim=limits(x, 0.4), ylim=limits(y[known], 0.2))
    axes.set_xscale("function", functions=(squeezed, stretched))
    axes.set_yscale("function", functions=(squeezed, stretched))
    plain_ticks(axes.xaxis, x)
    plain_ticks(axes.yaxis, y[known])
    spread = _spread(len(x), GOLDEN) / 3 if is_count(across.name) else np.zeros(len(x))
    axes.set_xlabel(wide.label + (" (marks are spread by up to a third)" if spread.any() else ""), color=INK)
    axes.set_ylabel(high.label, color=INK)

    for slug, size in reversed(_sizes(portrait).items()):
        axes.scatter([], [], s=40, color=[colours[slug]], label=f"{portrait.names[slug]}\n{_people(size)}")
    size = min(11.0, 800 / max(1, len(x)) ** 0.5)
    axes.scatter((x + spread)[known], y[known], s=size, c=shades[known], alpha=0.55, linewidths=0)
    if not known.all():
        _missing(axes, (x + spread)[~known], shades[~known], 0.7 * size, y[known] * high.divisor, high.divisor)
    figure.legend(loc="outside right upper", frameon=False, labelspacing=1.1, handletextpad=0.4, labelcolor=INK)
    return figure


def _missing(axes: Axes, marks: Numbers, shades: Numbers, size: float, others: Numbers, divisor: float) -> None:
    """The users without a value, about the mean of the ``others``; anywhere if there are none."""
    low, high = squeezed(np.array(axes.get_ylim()))
    label = f"no value\n{_people(len(marks))}"
    if len(others):
        mean = float(stretched(squeezed(others).mean()) / divisor)
        middle, reach = squeezed(np.array(mean)), 0.035 * (high - low)
        axes.axhline(mean, color=GREY, linewidth=0.7, zorder=0.9)
        label += f", set about\nthe mean: {mean:,.1f} (in log1p)"
    else:
        middle, reach = (low + high) / 2, 0.46 * (high - low)
        axes.set_yticks([])
        axes.set_ylabel("nobody has a value: the height means nothing", color=INK)
    heights = stretched(middle + reach * _spread(len(marks), SILVER))
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


PLOTS = {"two-features": two_features, "segment-sizes": segment_sizes}
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
