"""What sets each segment of the latest snapshot apart, or each cluster of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from segmenter import warehouse
from segmenter.analysis.clusters import NOISE_NAME
from segmenter.analysis.profiles.profile import Labels, Profile, profile_of
from segmenter.analysis.profiles.sides import AttributeCounts, Sides, Source
from segmenter.errors import UsageError
from segmenter.kinds import catalogue
from segmenter.model.generation import UNASSIGNED, name_of
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from segmenter.warehouse import profiles as counts
from segmenter.warehouse.profiles import Groups

if TYPE_CHECKING:
    import pandas as pd


class Profiles(msgspec.Struct, frozen=True):
    """Profiles of the users of one snapshot, the least engaged first."""

    snapshot_id: int
    taken_ms: int
    run_id: int | None
    """The run of `segmenter cluster` whose clusters these are; None: the live segments."""
    users: int
    currency: str
    """Of the amounts, which are in minor units."""
    events_missing: int
    """How many events of the snapshot the sink has yet to load: the profiles lack them, but for the features."""
    profiles: list[Profile]


def profiles(settings: Settings, run_id: int | None = None, progress: Progress = silent) -> Profiles:
    """The profiles of all segments of the latest snapshot, or of all clusters of a run, each against all others."""
    return _read(settings, run_id, lambda labels: [Sides(label, None) for label in labels], progress)


def profile(
    settings: Settings, slug: str, against: str | None = None, run_id: int | None = None, progress: Progress = silent
) -> Profiles:
    """The profile of one segment against all others, or against one. Raises `UsageError` for an unknown slug."""

    def sides(labels: list[str]) -> list[Sides]:
        for each in (slug, against):
            if each is not None and each not in labels:
                kind = "segment" if run_id is None else f"cluster in run {run_id}"
                raise UsageError(f"there is no {kind} {each!r}; there are {', '.join(labels)}.")
        if slug == against:
            raise UsageError(f"{slug} cannot be compared with itself: name two of {', '.join(labels)}.")
        return [Sides(slug, against)]

    return _read(settings, run_id, sides, progress)


def set_action(settings: Settings, slug: str, action: str) -> str | None:
    """Store what to do with a segment, None for an empty text, which brings the default back; returns what is stored.

    Raises `UsageError` for a slug that neither the setting nor the latest snapshot has, and for a text too long.
    """
    text = " ".join(action.split())
    if len(text) > counts.MAX_ACTION:
        raise UsageError(f"the action has {len(text):,} characters; allowed are {counts.MAX_ACTION:,}.")
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        model = warehouse.latest_generation(database)
        known = dict.fromkeys((*(model.slugs if model else ()), *settings.segments))
        if slug not in known:
            raise UsageError(f"there is no segment {slug!r}; there are {', '.join(known)}.")
        counts.set_action(database, slug, text)
    return text or None


def _read(
    settings: Settings, run_id: int | None, sides: Callable[[list[str]], list[Sides]], progress: Progress
) -> Profiles:
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        groups = counts.groups_of(database, run_id)
        users = counts.read_features(database, groups, catalogue(settings.kinds))
        labels = _labels(database, groups, list(users["label"].unique()), settings)
        wanted = sides(list(labels.names))
        source = _source(database, groups, users, settings, progress)
        behind = warehouse.behind(database, warehouse.reach_of(database, groups.snapshot.snapshot_id))
        warehouse.find_snapshot(database, groups.snapshot.snapshot_id)  # nobody has removed it meanwhile
    rest = (labels, settings.kinds, settings.currency, settings.timezone)
    with progress("profiles", len(wanted)) as advance:
        found = []
        for each in wanted:
            found.append(profile_of(source, each, *rest))
            advance(1)
    missing = sum(part.needed - part.has for part in behind)
    snapshot = groups.snapshot
    return Profiles(snapshot.snapshot_id, snapshot.taken_ms, run_id, len(users), settings.currency, missing, found)


def _labels(database: Warehouse, groups: Groups, there: list[str], settings: Settings) -> Labels:
    """The segments of the model in their order, then whatever else users have; clusters by rank."""
    if groups.run_id is not None:
        ranks = {slug: rank for rank, slug in enumerate(settings.segments)}
        ordered = sorted(there, key=lambda name: (name == NOISE_NAME, ranks.get(name, 0), len(name), name))
        return Labels({name: name for name in ordered}, tuple([n for n in ordered if n != NOISE_NAME]), {})
    model = warehouse.snapshot_generation(database, groups.snapshot.snapshot_id)
    names = {segment.slug: segment.name for segment in model.segments} if model else {}
    ranked = tuple(names)
    names |= {slug: name_of(slug) for slug in sorted(there) if slug not in names}
    stored = {slug: action for slug, action in counts.read_actions(database).items() if slug != UNASSIGNED}
    return Labels(names, ranked, stored)


def _source(database: Warehouse, groups: Groups, users: pd.DataFrame, settings: Settings, progress: Progress) -> Source:
    """All that SQL counts, one query after the other."""
    with progress("looking at properties", None) as advance:
        properties = counts.property_names(database)
        advance(len(properties))
    priced = [kind for kind in settings.kinds if kind.measure == "amount"]
    known = warehouse.attributes(database)
    queries = 1 + len(counts.EVENT_FIELDS) + len(properties) + len(priced) + len(known)
    with progress("counting", queries) as advance:

        def done(table: pd.DataFrame) -> pd.DataFrame:
            advance(1)
            return table

        values = {
            what: done(counts.read_values(database, groups, column)) for what, column in counts.EVENT_FIELDS.items()
        }
        values |= {
            f"property {name}": done(counts.read_properties(database, groups, name, kinds))
            for name, kinds in properties.items()
        }
        return Source(
            users,
            done(counts.read_quarters(database, groups)),
            values,
            {
                kind.name: done(counts.read_amounts(database, groups, kind, settings.duplicate_window))
                for kind in priced
            },
            [
                AttributeCounts(
                    each.name,
                    each.type,
                    counts.read_known(database, groups, each),
                    done(counts.read_attribute(database, groups, each)),
                )
                for each in known
            ],
        )
