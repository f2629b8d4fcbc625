"""The batch summary: keeping it up to date, and reading it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segmenter import warehouse
from segmenter.events import Rules
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.warehouse import Refreshed


def refresh_summary(settings: Settings, rebuild: bool = False, progress: Progress = silent) -> Refreshed:
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
            return warehouse.refresh_summary(database, settings.duplicate_window, advance=advance)


def read_summaries(settings: Settings, users: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    """The rows of ``user_activity_summary`` by user, without the id; None for a user without events."""
    with warehouse.connect(settings) as database:
        warehouse.require_schema(database)
        return {user: warehouse.read_activity(database, user.encode()) for user in users}
