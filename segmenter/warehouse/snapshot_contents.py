"""What a snapshot keeps, read back: the shards, the users and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from segmenter.kinds import Feature, catalogue
from segmenter.model.generation import UNASSIGNED, Generation
from segmenter.model.profiles import Profile, fields
from segmenter.warehouse.columns import cut_columns, user_columns
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, listed, reading
from segmenter.warehouse.raw_events import Partition
from segmenter.warehouse.snapshots import Cut
from segmenter.warehouse.users_of import sources, users_of

if TYPE_CHECKING:
    import pandas as pd

USERS_AT_A_TIME = 5_000


class SnapshotUser(NamedTuple):
    """One user of a snapshot: the profile, and up to where it holds the events of each topic."""

    user: bytes
    part: int
    profile: Profile
    cuts: dict[str, int]


def snapshot_cuts(warehouse: Warehouse, snapshot_id: int) -> dict[Partition, Cut]:
    """The next offset of each partition."""
    query = "SELECT topic, part, topic_id, next_pos FROM snapshot_cuts WHERE snapshot_id = :snapshot_id"
    with reading(warehouse) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id})
        return {(row.topic, row.part): Cut(row.topic_id, row.next_pos) for row in found}


def snapshot_counts(warehouse: Warehouse, snapshot_id: int) -> dict[int, str]:
    """What each shard had counted, as JSON; a shard that no worker had begun is absent."""
    query = "SELECT part, counts FROM snapshot_shards WHERE snapshot_id = :snapshot_id"
    with reading(warehouse) as connection:
        found = connection.execute(text(query), {"snapshot_id": snapshot_id})
        return {row.part: row.counts for row in found}


def furthest_cuts(warehouse: Warehouse, snapshot_id: int) -> dict[Partition, int]:
    """How far into each partition the events in the users' rows go at most."""
    topics = [kind.topic for kind in warehouse.kinds]
    furthest = ", ".join(f"MAX({cut}) AS {cut}" for cut in cut_columns(warehouse.kinds))
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        users = users_of(connection, warehouse.kinds, snapshot_id)
        query = f"SELECT part, {furthest} FROM {users} u WHERE snapshot_id = :snapshot_id GROUP BY part"
        found = connection.execute(text(query), {"snapshot_id": snapshot_id})
        return {(topic, part): cut for part, *cuts in found for topic, cut in zip(topics, cuts, strict=True)}


def snapshot_generation(warehouse: Warehouse, snapshot_id: int) -> Generation | None:
    """The model that was current when the snapshot was taken, None before the first."""
    query = "SELECT body FROM generations WHERE snapshot_id = :snapshot_id"
    with reading(warehouse) as connection:
        body = connection.execute(text(query), {"snapshot_id": snapshot_id}).scalar_one_or_none()
    return None if body is None else Generation.decode(body.encode())


def latest_generation(warehouse: Warehouse) -> Generation | None:
    """The model of the latest snapshot that has one, None if none has."""
    with reading(warehouse) as connection:
        query = "SELECT body FROM generations ORDER BY snapshot_id DESC LIMIT 1"
        body = connection.execute(text(query)).scalar_one_or_none()
    return None if body is None else Generation.decode(body.encode())


def snapshot_users(warehouse: Warehouse, snapshot_id: int) -> Iterator[list[SnapshotUser]]:
    """Every user, in batches."""
    with reading(warehouse) as connection:
        every = sources(connection, warehouse.kinds, snapshot_id)
    for source in every:
        yield from _pages(warehouse, source, snapshot_id)


def _pages(warehouse: Warehouse, source: str, snapshot_id: int) -> Iterator[list[SnapshotUser]]:
    names = fields(warehouse.kinds)
    topics = [kind.topic for kind in warehouse.kinds]
    query = f"""
        SELECT user_id, part, {listed((*names, *cut_columns(warehouse.kinds)))} FROM {source} u
        WHERE snapshot_id = :snapshot_id AND user_id > :after ORDER BY user_id LIMIT {USERS_AT_A_TIME}
    """
    after = b""
    while True:
        with reading(warehouse) as connection:
            found = connection.execute(text(query), {"snapshot_id": snapshot_id, "after": after}).all()
        if not found:
            return
        yield [
            SnapshotUser(
                bytes(user), part, tuple(values[: len(names)]), dict(zip(topics, values[len(names) :], strict=True))
            )
            for user, part, *values in found
        ]
        after = bytes(found[-1].user_id)


def read_users(warehouse: Warehouse, snapshot_id: int, columns: Sequence[str] = ()) -> pd.DataFrame:
    """All of `user_frames` in one."""
    return _joined(user_frames(warehouse, snapshot_id, columns))


def user_frames(
    warehouse: Warehouse, snapshot_id: int, columns: Sequence[str] = (), size: int = USERS_AT_A_TIME
) -> Iterator[pd.DataFrame]:
    """The users of a snapshot, one row each, in the order of their ids; a mean that is missing is NaN.

    ``columns`` are those of `user_columns` that are wanted; by default all. So many users are in a frame at most, and
    all frames are of one moment, whatever is removed meanwhile; there is at least one.
    """
    names = list(columns or user_columns(warehouse.kinds))
    query = f"SELECT {listed(names)} FROM {{users}} u WHERE snapshot_id = :snapshot_id ORDER BY user_id"
    return _frames(warehouse, query, snapshot_id, names, size)


def read_summary_users(warehouse: Warehouse, snapshot_id: int, names: Sequence[str]) -> pd.DataFrame:
    """The users of the batch summary, likewise: ``user_id``, ``segment`` and the features of these names.

    The segment is that of a snapshot, and `UNASSIGNED` for a user whom it does not have.
    """
    wanted = [feature for feature in catalogue(warehouse.kinds) if feature.name in names]
    values = "".join([f", {_ratio(feature)} AS {feature.name}" for feature in wanted])
    query = f"""
        SELECT s.user_id, COALESCE(u.segment, '{UNASSIGNED}') AS segment{values} FROM user_summary s
        LEFT JOIN {{users}} u ON u.snapshot_id = :snapshot_id AND u.user_id = s.user_id ORDER BY s.user_id
    """
    columns = ["user_id", "segment", *[feature.name for feature in wanted]]
    return _joined(_frames(warehouse, query, snapshot_id, columns, USERS_AT_A_TIME))


def _ratio(feature: Feature) -> str:
    if feature.denominator is None:
        return f"s.`{feature.numerator}`"
    ratio = f"CAST(s.{feature.numerator} AS DOUBLE) / s.{feature.denominator}"
    return f"CASE WHEN s.{feature.denominator} > 0 THEN {ratio} END"


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd  # here, since nothing else in the warehouse needs it

    return pd.concat(list(frames), ignore_index=True)


def _frames(warehouse: Warehouse, query: str, snapshot_id: int, names: list[str], size: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    means = [feature.name for feature in catalogue(warehouse.kinds) if feature.denominator and feature.name in names]

    def frame(rows: Iterable[Any]) -> pd.DataFrame:
        return pd.DataFrame.from_records(map(tuple, rows), columns=names).astype(dict.fromkeys(means, "float64"))

    options = {"yield_per": size}
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        query = query.format(users=users_of(connection, warehouse.kinds, snapshot_id))
        with connection.execute(text(query), {"snapshot_id": snapshot_id}, execution_options=options) as found:
            parts = found.partitions(size)
            yield frame(next(parts, []))
            yield from map(frame, parts)
