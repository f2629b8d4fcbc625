"""From where the sink reads: the offsets in the warehouse, and the gaps that the log's retention leaves before them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from segmenter import topics, warehouse
from segmenter.errors import TopicRecreated
from segmenter.settings import Settings
from segmenter.topics import Position
from segmenter.warehouse import Gap, Loaded, Warehouse

LOST_START = "Go on after that by `segmenter sink --skip-gap`: it records the gap (docs/outages.md)."
"""What to do when the log begins after the offsets."""

LOST_END = (
    "Put the missing part of the log back, or start afresh: with an empty database as SEGMENTER_WAREHOUSE_URL and an "
    "unused SEGMENTER_KEY_PREFIX."
)
"""What to do when the log ends before them."""

log = structlog.get_logger()


def starting_offsets(
    database: Warehouse, settings: Settings, ids: Mapping[str, str], skip_gap: bool, now_ms: int
) -> dict[Position, int]:
    """The offset to read each partition from; one that was never loaded begins where the log does.

    What the log had lost before that is recorded as a gap. Raises `TopicRecreated` when the stored offsets belong to
    another topic of the same name, and `LogTruncated` when the log ends before one of them, or begins after it, unless
    ``skip_gap``: then that is a gap, too. Raises `Fenced` when another sink skips it at the same time.
    """
    begins = topics.beginnings(settings, ids)
    _begin(database, settings, ids, begins, now_ms)
    offsets = _stored(database, settings, ids)
    whole = [where for where, offset in begins.items() if offset == 0]
    warehouse.withdraw(database, [(topic.removeprefix(settings.topic_prefix), part) for topic, part in whole])
    if skip_gap:
        gaps = [
            Gap(topic.removeprefix(settings.topic_prefix), part, offset, begins[topic, part], now_ms)
            for (topic, part), offset in offsets.items()
            if offset < begins[topic, part]
        ]
        if gaps:
            warehouse.skip(database, gaps)
            _warn(gaps)
            offsets = _stored(database, settings, ids)
    topics.check_beginnings(offsets, begins, LOST_START)
    topics.check_ends(offsets, topics.ends(settings, ids), LOST_END)
    return offsets


def _begin(
    database: Warehouse, settings: Settings, ids: Mapping[str, str], begins: Mapping[Position, int], now_ms: int
) -> None:
    """Store where the log begins as the offset of each partition that was never loaded."""
    starts = {
        (topic.removeprefix(settings.topic_prefix), part): Loaded(ids[topic], offset)
        for (topic, part), offset in begins.items()
    }
    _warn(warehouse.begin(database, starts, now_ms))


def _stored(database: Warehouse, settings: Settings, ids: Mapping[str, str]) -> dict[Position, int]:
    offsets = {}
    for (plain, part), (topic_id, offset) in warehouse.loaded(database).items():
        topic = settings.topic_prefix + plain
        if topic not in ids:
            continue  # of a kind that other sinks know already
        if topic_id != ids[topic]:
            raise TopicRecreated(topic, topic_id, ids[topic])
        offsets[topic, part] = offset
    return offsets


def _warn(gaps: Iterable[Gap]) -> None:
    for topic, part, first, end, _ in gaps:
        log.warning("the log no longer holds these offsets", topic=topic, part=part, first=first, end=end)
