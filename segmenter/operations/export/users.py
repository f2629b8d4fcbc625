"""What an export holds of each user: the columns, the same for all targets, and the users in frames."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from segmenter import warehouse
from segmenter.events.user_ids import text_of
from segmenter.kinds import Kind, catalogue
from segmenter.report.facts import names_in_order
from segmenter.warehouse import Snapshot, Warehouse, value_columns
from segmenter.warehouse.exports import ColumnType
from segmenter.warehouse.snapshot_contents import user_frames

if TYPE_CHECKING:
    import pandas as pd


def columns(kinds: tuple[Kind, ...]) -> dict[str, ColumnType]:
    """The columns of an export, in their order, and what each holds; they depend on the kinds of events alone."""
    means = {feature.name for feature in catalogue(kinds) if feature.denominator}
    values: dict[str, ColumnType] = {name: "number" if name in means else "integer" for name in value_columns(kinds)}
    return {
        "user_id": "text",
        "segment": "text",
        "segment_name": "text",
        "generation": "integer",
        **values,
        "snapshot_id": "integer",
        "taken_at": "time",
    }


def taken_at(snapshot: Snapshot) -> datetime:
    """When a snapshot was taken, in UTC."""
    return datetime.fromtimestamp(snapshot.taken_ms // 1_000, UTC).replace(
        microsecond=snapshot.taken_ms % 1_000 * 1_000
    )


def frames(database: Warehouse, snapshot: Snapshot, size: int) -> Generator[pd.DataFrame, None, None]:
    """The users of a snapshot, so many in a frame at most, in the order of their ids; there is at least one frame."""
    import pandas as pd

    generation = warehouse.snapshot_generation(database, snapshot.snapshot_id)
    taken = taken_at(snapshot)
    wanted = ("user_id", "segment", "generation", *value_columns(database.kinds))
    for frame in user_frames(database, snapshot.snapshot_id, wanted, size):
        names = names_in_order(generation, frame["segment"].unique().tolist())
        yield frame.assign(
            user_id=[text_of(bytes(user)) for user in frame["user_id"]],
            segment_name=[names[slug] for slug in frame["segment"]],
            snapshot_id=snapshot.snapshot_id,
            taken_at=pd.Series([taken] * len(frame), dtype=object),
        )[list(columns(database.kinds))]
