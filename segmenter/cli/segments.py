"""Show the segments as they are now or, of the latest snapshot, what sets one apart.

Without a command: each segment's size, share and typical features, live from the census in Redis. The typical value of
a feature is exp(m) - 1, where m is the mean of log(1 + x) over the users who have it: the middle of the scale on which
users are judged. One very busy user hardly moves it. The least engaged segment comes first, by its clicks and searches.
A model of few users is provisional: it is refitted as more users come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table
from rich.text import Text

from segmenter.cli import common

if TYPE_CHECKING:
    from segmenter.operations.segments.profiles import Profiles

segments = App(name="segments")

Run = Annotated[int | None, Parameter(validator=Number(gte=1))]


@segments.default
def live(*, json: common.Json = False) -> None:
    """Show each segment's size, share and typical features, live from the census in Redis."""
    from segmenter.operations.segments.live import read_segments

    found = read_segments(common.settings("redis_url"))
    common.emit({**found._asdict(), "segments": [row._asdict() for row in found.segments]}, json, _show_live)


@segments.command
def show(slug: str, /, *, run: Run = None, json: common.Json = False) -> None:
    """Show what sets a segment of the latest snapshot apart from all other users, in words and in numbers.

    What each number means, and how it is found: docs/profiles.md.

    Parameters
    ----------
    slug
        The slug of the segment, or the name of a cluster of the run.
    run
        The number of a run of `segmenter cluster`: show one of its clusters.
    """
    from segmenter.operations.segments.profiles import profile

    _emit(profile(common.settings("warehouse_url"), slug, None, run, common.progress), json)


@segments.command
def compare(slug: str, other: str, /, *, run: Run = None, json: common.Json = False) -> None:
    """Show what sets a segment of the latest snapshot apart from another one.

    Parameters
    ----------
    slug
        The slug of the segment, or the name of a cluster of the run.
    other
        That of the one it is compared with.
    run
        The number of a run of `segmenter cluster`: compare two of its clusters.
    """
    from segmenter.operations.segments.profiles import profile

    _emit(profile(common.settings("warehouse_url"), slug, other, run, common.progress), json)


@segments.command
def action(slug: str, text: str, /, *, json: common.Json = False) -> None:
    """Set what is to be done with the users of a segment: `segments show` says it in place of the default.

    Parameters
    ----------
    slug
        The slug of the segment. The action stays with the slug, so with the rank.
    text
        What to do; an empty text brings the default back.
    """
    from segmenter.operations.segments.profiles import set_action

    stored = set_action(common.settings("warehouse_url"), slug, text)
    common.emit({"slug": slug, "action": stored}, json, _show_action)


def _emit(found: Profiles, json: bool) -> None:
    import msgspec

    from segmenter.cli.profile_tables import show_profile

    common.emit(msgspec.to_builtins(found), json, lambda _: show_profile(found))


def _show_action(report: dict[str, Any]) -> None:
    said = "its action is the default again" if report["action"] is None else f"its action is {report['action']!r}"
    common.console.print(f"{report['slug']}: {said}", markup=False, soft_wrap=True)


def _show_live(report: dict[str, Any]) -> None:
    rows = report["segments"]
    if not rows:
        common.console.print("no users yet")
        return
    users = sum(row["users"] for row in rows)
    generation = f"generation {report['generation']}{' (provisional)' if report['provisional'] else ''}"
    table = Table("segment", title=f"{users:,} users, {generation}, typical values")
    for title in ("users", "share", *rows[0]["typical"]):
        table.add_column(title, justify="right")
    for row in rows:
        typical = ["missing" if value is None else f"{value:,.1f}" for value in row["typical"].values()]
        table.add_row(Text(row["name"]), f"{row['users']:,}", f"{row['share']:.1%}", *typical)
    common.console.print(table)
