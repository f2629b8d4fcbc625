"""How far a snapshot goes, and whether the sink has come so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from segmenter.errors import TopicRecreated
from segmenter.warehouse.engine import Warehouse
from segmenter.warehouse.raw_events import Partition, loaded
from segmenter.warehouse.snapshot_contents import furthest_cuts, snapshot_cuts


class Reach(NamedTuple):
    """How far a snapshot goes in the partitions of all kinds of events."""

    cuts: dict[Partition, int]
    """The next offset of each; 0 where the kind was not on yet."""
    furthest: dict[Partition, int]
    """How far the rows of single users go at most."""
    topic_ids: Mapping[str, str]


class Behind(NamedTuple):
    """A partition that is loaded up to ``has`` while a snapshot needs it up to ``needed``."""

    topic: str
    part: int
    needed: int
    has: int


def reach_of(warehouse: Warehouse, snapshot_id: int) -> Reach:
    """How far the snapshot goes."""
    kept = snapshot_cuts(warehouse, snapshot_id)
    every = [(kind.topic, part) for kind in warehouse.kinds for part in sorted({part for _, part in kept})]
    return Reach(
        {at: kept[at].next_pos if at in kept else 0 for at in every},
        furthest_cuts(warehouse, snapshot_id),
        {topic: cut.topic_id for (topic, _), cut in kept.items() if cut.topic_id is not None},
    )


def behind(warehouse: Warehouse, reach: Reach) -> list[Behind]:
    """The partitions that are not yet loaded up to what the snapshot needs: the furthest cut in the shard.

    Raises `TopicRecreated` when the snapshot and the raw events are of different topics of the same name.
    """
    has = loaded(warehouse)
    for (topic, _), at in has.items():
        if reach.topic_ids.get(topic, at.topic_id) != at.topic_id:
            raise TopicRecreated(
                topic, at.topic_id, reach.topic_ids[topic], "Use the Redis and the warehouse of one system."
            )
    needs = [
        Behind(*at, max(cut, reach.furthest.get(at, 0)), has[at].next_pos if at in has else 0)
        for at, cut in sorted(reach.cuts.items())
    ]
    return [need for need in needs if need.has < need.needed]
