"""A sink whose next records have expired: it names the gap, and passes over it only when it is asked to, and once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumers import sink
from segmenter import warehouse
from segmenter.errors import LogTruncated, Unreachable
from segmenter.events import Event
from segmenter.settings import Settings
from tests.loop.helpers import START_MS, publish, users_of


def test_a_sink_passes_over_the_gap_that_it_finds_as_it_begins_and_over_no_other(
    settings: Settings, log_begins: Callable[[str, int, int], None]
) -> None:
    """What expires later, while it waits for Kafka, ends it; each gap is recorded, from the offset it stood at."""
    user, topic = users_of(settings, 0)[0], f"{settings.topic_prefix}views"

    def more(events: int, begin: int) -> None:
        for batch in (events - 1, 1):  # the embedded broker tells where the last batch begins
            publish(settings, "views", [Event(user, START_MS)] * batch)
        log_begins(topic, 0, begin)

    def gaps() -> list[tuple[int, int]]:
        with warehouse.connect(settings) as database:
            return [(gap.first_pos, gap.end_pos) for gap in warehouse.recorded_gaps(database)]

    loads: list[int] = []

    def overtaken(records: int) -> None:
        loads.append(records)
        if len(loads) == 1:
            more(30, begin=75)
            raise Unreachable("Kafka is away")

    more(30, begin=10)
    assert sink.run(settings, once=True).loaded == {"views": 20}
    more(30, begin=40)
    with pytest.raises(LogTruncated, match=r"offset 30 of .*begins at 40\. .*`segmenter sink --skip-gap`"):
        sink.run(settings, once=True)
    assert gaps() == [(0, 10)]
    with pytest.raises(LogTruncated, match=r"offset 60 of .*begins at 75\. .*`segmenter sink --skip-gap`"):
        sink.run(settings, False, overtaken, lambda: len(loads) == 2, skip_gap=True)
    assert gaps() == [(0, 10), (30, 40)]
    assert sink.run(settings, once=True, skip_gap=True).loaded == {"views": 15}
    assert gaps() == [(0, 10), (30, 40), (60, 75)]
