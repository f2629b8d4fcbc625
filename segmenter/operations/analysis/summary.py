"""The batch summary: keeping it up to date, and reading it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from segmenter import warehouse
from segmenter.events import Rules
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.warehouse import Refreshed


class Update(NamedTuple):
    """What a refresh did, and whether there are not as many raw events as the summary has taken up by now."""

    refreshed: Refreshed
    at_odds: bool


class Activity(NamedTuple):
    """The rows of ``user_activity_summary`` by user, without the id; None for a user who is not in it."""

    users: dict[str, dict[str, Any] | None]
    waiting: int
    """How many offsets the next refresh would take up."""


def refresh_summary(settings: Settings, rebuild: bool = False, progress: Progress = silent) -> Update:
    """Add all new raw events that the sink has loaded; with ``rebuild``, to a summary that is emptied first.

    Raises `RulesDiffer`, `SumTooLarge`, and `UsageError` when the warehouse lacks tables.
    """
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        warehouse.require_rules(database, Rules.of(settings))
        if rebuild:
            with progress("emptying the summary", None):
                warehouse.empty_summary(database)
        with progress("summing up raw events", warehouse.waiting(database)) as advance:
            done = warehouse.refresh_summary(database, settings.duplicate_window, advance=advance)
        return Update(done, warehouse.summary_at_odds(database))


def read_summaries(settings: Settings, users: Iterable[str]) -> Activity:
    """What the summary says of users. Raises `Fenced` while it is being emptied."""
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        keys = {user: user.encode(errors="surrogatepass") for user in users}  # text that is no id is unknown
        found = {user: warehouse.read_activity(database, key) for user, key in keys.items()}
        return Activity(found, warehouse.waiting(database))
