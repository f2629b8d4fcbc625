"""The batch summary: what each user has done, from the raw events alone."""

from __future__ import annotations

from segmenter.warehouse.summary.activity import read_activity
from segmenter.warehouse.summary.compare import Compared, Unequal, compare_snapshot
from segmenter.warehouse.summary.refresh import (
    Refreshed,
    Summed,
    empty_summary,
    refresh_summary,
    require_whole_summary,
    summary_at_odds,
    waiting,
)
from segmenter.warehouse.summary.statement import AllLoaded, BatchCounts, all_loaded

__all__ = [
    "AllLoaded",
    "BatchCounts",
    "Compared",
    "Refreshed",
    "Summed",
    "Unequal",
    "all_loaded",
    "compare_snapshot",
    "empty_summary",
    "read_activity",
    "refresh_summary",
    "require_whole_summary",
    "summary_at_odds",
    "waiting",
]
