"""What recommendations are made of: the segments of the latest snapshot, and who had what by the raw events."""

from __future__ import annotations

from typing import NamedTuple

from segmenter import warehouse
from segmenter.analysis.recommendations.interactions import Interactions, collect
from segmenter.analysis.recommendations.taste import Taste, taste
from segmenter.errors import UsageError
from segmenter.events import Rules
from segmenter.model.generation import UNASSIGNED
from segmenter.operations.progress import Progress
from segmenter.settings import Settings
from segmenter.warehouse import Snapshot, Warehouse
from segmenter.warehouse.snapshot_contents import read_users


class Source(NamedTuple):
    """The users of the snapshot and of the raw events, what they had, and what their segments like."""

    snapshot: Snapshot
    interactions: Interactions
    slugs: list[str | None]
    """Of each user; None for those whom no model has judged."""
    taste: Taste


def read_source(database: Warehouse, settings: Settings, progress: Progress) -> Source:
    """Read all of it.

    Raises `UsageError` when there is no snapshot yet, or no event with an item, and `RulesDiffer` when the settings
    lack a kind of events that users may have had items by.
    """
    warehouse.require_schema(database)
    warehouse.require_rules(database, Rules.of(settings))
    snapshot = warehouse.find_snapshot(database)
    known = read_users(database, snapshot.snapshot_id, ("user_id", "segment"))
    segments: dict[bytes, str] = dict(zip(map(bytes, known["user_id"]), known["segment"], strict=True))
    with progress("reading raw events", None) as advance:
        interactions = collect(warehouse.item_pages(database, advance), segments)
    if not interactions.items:
        raise UsageError(
            "no raw event has an item_id: publish some that have (docs/events.md), and run `segmenter sink --once`."
        )
    judged = {user: slug for user, slug in segments.items() if slug != UNASSIGNED}
    slugs = [judged.get(user) for user in interactions.users]
    return Source(snapshot, interactions, slugs, taste(interactions.had, slugs))
