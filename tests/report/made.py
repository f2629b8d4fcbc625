"""Reports of users who are rows of a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from segmenter.analysis.profiles.profile import Labels, profile_of
from segmenter.analysis.profiles.sides import Sides, Source
from segmenter.kinds import DEFAULT, Feature, Kind, catalogue
from segmenter.report.facts import Facts
from segmenter.warehouse import Snapshot

NAMES = {"low": "Low", "middle": "Middle", "high": "High"}
NOON_MS = 1_700_049_600_000  # 2023-11-15 12:00 UTC, a Wednesday
SHOWN = ("total_clicks", "mean_view_ms")


def hours(*of: tuple[str, int, int]) -> pd.DataFrame:
    """Events of a segment, so many hours after midnight of a Wednesday, UTC."""
    rows = [(slug, NOON_MS + (hour - 12) * 3_600_000, events) for slug, hour, events in of]
    types = {"label": "str", "quarter_ms": "int64", "events": "int64"}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def facts(
    users: Sequence[tuple[str, int, float | None]],
    names: Mapping[str, str] = NAMES,
    kinds: tuple[Kind, ...] = DEFAULT,
    quarters: pd.DataFrame | None = None,
    timezone: str = "UTC",
    amounts: Mapping[str, pd.DataFrame] | None = None,
    generation: int = 4,
    **more: Any,
) -> Facts:
    """A report of users with a segment, clicks and the mean time of a view in ms; their other features are 0."""
    frame = pd.DataFrame(users, columns=["segment", *SHOWN]).astype({"mean_view_ms": "float64"})
    features: dict[str, Feature] = {feature.name: feature for feature in catalogue(kinds)}
    for name in features.keys() - {*SHOWN}:
        frame[name] = 0.0
    frame["label"] = frame["segment"]
    source = Source(frame, hours() if quarters is None else quarters, {}, dict(amounts or {}), [])
    labels = Labels(dict(names), tuple([slug for slug in names if slug != "unassigned"]), {})
    return Facts(
        snapshot=Snapshot(7, NOON_MS, generation, len(users)),
        made_ms=NOON_MS + 60_000,
        names=dict(names),
        users=frame,
        judging=tuple([features.pop(name) for name in SHOWN]),
        others=tuple(features.values()),
        kinds=kinds,
        currency="EUR",
        timezone=timezone,
        profiles={slug: profile_of(source, Sides(slug, None), labels, kinds, "EUR", timezone) for slug in names},
        **more,
    )
