"""The columns of the tables that depend on the kinds of events."""

from __future__ import annotations

from segmenter.kinds import Kind, catalogue
from segmenter.model.profiles import fields

Kinds = tuple[Kind, ...]

_RAW = (
    "part",
    "pos",
    "topic_id",
    "user_id",
    "time_ms",
    "record_ms",
    "event_id",
    "session_id",
    "device",
    "url",
    "referrer",
    "duration_ms",
    "item_id",
    "query",
    "properties",
)


def raw_columns(kind: Kind) -> tuple[str, ...]:
    """The columns of the raw table of a kind. Ids are bound as bytes."""
    return (*_RAW, "amount") if kind.measure == "amount" else _RAW


def cut_columns(kinds: Kinds) -> tuple[str, ...]:
    """The columns of a snapshot's users that say how far into each topic their rows go, in the order of the kinds."""
    return tuple([f"cut_{kind.topic}" for kind in kinds])


def value_columns(kinds: Kinds) -> tuple[str, ...]:
    """The numbers of a snapshot's users: the fields of the profile, then the features."""
    return (*fields(kinds), *[feature.name for feature in catalogue(kinds)])


def user_columns(kinds: Kinds) -> tuple[str, ...]:
    """All columns of a snapshot's users but the number of the snapshot."""
    return ("user_id", "part", *value_columns(kinds), "segment", "generation", *cut_columns(kinds))
