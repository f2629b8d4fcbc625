"""Who had which item, from the raw events: each with an item id counts, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import text

from segmenter.kinds import by_topic
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading
from segmenter.warehouse.raw_events import loaded

EVENTS_AT_A_TIME = 50_000


def item_pages(
    warehouse: Warehouse, advance: Callable[[int], None] = lambda events: None
) -> Iterator[list[tuple[bytes, bytes]]]:
    """The user and the item of each raw event that has one, as far as the sink had come when this began.

    Each table is read once, in the order of its key and in pages; ``advance`` is called with their lengths.
    """
    for (topic, part), at in sorted(loaded(warehouse).items()):
        if topic in by_topic(warehouse.kinds):
            for page in _pages(warehouse, topic, part, at.next_pos):
                advance(len(page))
                yield page


def _pages(warehouse: Warehouse, topic: str, part: int, end: int) -> Iterator[list[tuple[bytes, bytes]]]:
    query = text(
        f"SELECT pos, user_id, item_id FROM raw_{topic} WHERE part = :part AND pos > :after AND pos < :end "
        f"AND item_id IS NOT NULL ORDER BY pos LIMIT {EVENTS_AT_A_TIME}"
    )
    after = -1
    while True:
        with reading(warehouse, SUMMARY_SECONDS) as connection:
            found = connection.execute(query, {"part": part, "after": after, "end": end}).all()
        if not found:
            return
        yield [(bytes(user), bytes(item)) for _, user, item in found]
        after = found[-1].pos
