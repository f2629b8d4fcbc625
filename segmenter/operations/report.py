"""The report of the latest snapshot: what the warehouse knows of it, read, drawn and written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.kinds import catalogue
from segmenter.model.features import named
from segmenter.operations.analysis.clusters import rate_live
from segmenter.operations.progress import Progress, silent
from segmenter.operations.segments.profiles import profiles
from segmenter.report import page
from segmenter.report.facts import LIVE, Facts, Rated, names_in_order
from segmenter.report.output import prepare
from segmenter.report.style import styled
from segmenter.settings import Settings
from segmenter.warehouse import ClusterRun
from segmenter.warehouse.snapshot_contents import read_users

if TYPE_CHECKING:
    import pandas as pd


class Written(NamedTuple):
    """A report as files: the page first, then the PNGs. The findings are the titles of the charts by their names."""

    facts: Facts
    files: list[Path]
    findings: dict[str, str]


def report(settings: Settings, folder: Path, now_ms: int, progress: Progress = silent) -> Written:
    """Write the report of the latest snapshot into a folder; files of the same names are replaced.

    Raises `UsageError` when there is no snapshot, or one without users, or Matplotlib is missing, or the folder cannot
    be written to.
    """
    with styled():
        prepare(folder)  # without Matplotlib or a place for the files, nothing is read
    facts = read(settings, now_ms, progress)
    with progress("drawing", None) as advance:
        charts, files = page.write(facts, folder)
        advance(len(charts))
    return Written(facts, files, {chart.slug: chart.finding for chart in charts})


def read(settings: Settings, now_ms: int, progress: Progress = silent) -> Facts:
    """All that the report tells."""
    found = profiles(settings, progress=progress)
    with warehouse.connect(settings) as database:
        snapshot = warehouse.find_snapshot(database, found.snapshot_id)
        users = read_users(database, found.snapshot_id)
        if users.empty:
            raise UsageError(
                f"snapshot {found.snapshot_id} holds no users: publish events, run `segmenter worker --once` and "
                "`segmenter snapshot`."
            )
        generation = warehouse.snapshot_generation(database, found.snapshot_id)
        judging = named(generation.features, settings.kinds) if generation else settings.judging
        runs, period = warehouse.latest_runs(database), warehouse.read_period(database)
        names = names_in_order(generation, users["segment"].unique().tolist())
        by_slug = {profile.slug: profile for profile in found.profiles}
        return Facts(
            snapshot=snapshot,
            made_ms=now_ms,
            names=names,
            users=users,
            judging=judging,
            others=tuple([each for each in catalogue(settings.kinds) if each not in judging]),
            kinds=settings.kinds,
            currency=settings.currency,
            timezone=settings.timezone,
            profiles={slug: by_slug[slug] for slug in names},
            events_missing=found.events_missing,
            verdict=warehouse.read_verdict(database, found.snapshot_id),
            sizes=warehouse.read_sizes(database),
            moves=warehouse.read_moves(database, period),
            period=period,
            rated=_rated(runs, users, [each.name for each in judging], found.snapshot_id),
            rated_snapshot=runs[0].snapshot_id if runs else None,
        )


def _rated(runs: Sequence[ClusterRun], users: pd.DataFrame, features: Sequence[str], snapshot_id: int) -> list[Rated]:
    """The runs, and before them the live segments, if they are of the same users and scikit-learn is there."""
    rated = [
        Rated(each.algorithm, each.k, each.noise / max(each.users, 1), each.silhouette, each.davies_bouldin,
              each.calinski_harabasz, each.rand_live)
        for each in runs
    ]  # fmt: skip
    if runs and runs[0].snapshot_id == snapshot_id:
        with suppress(UsageError):
            live = rate_live(users, features)
            rated.insert(0, Rated(LIVE, live.k, live.noise / len(users), *live.scores, live.agreement[live.name]))
    return rated
