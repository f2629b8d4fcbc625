"""How fresh a reader is: the latest moment at which the log held no more than has been read by now.

A log may grow all the time, so that nobody is ever at its very end. So an end that is not reached yet is remembered,
with the moment at which it was asked for, until it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from kafka import KafkaConsumer, TopicPartition

ENDS_MS = 2_000
"""How long the broker may take to return the log's end: asked each second, by a loop that waits meanwhile."""

Part = TypeVar("Part", bound=Hashable)


class _End(NamedTuple):
    """Where a partition ended at one moment: how far it could be read then."""

    reported: int
    """What the broker returned; some return less, see `segmenter.topics.reader.ends`."""
    fetched: int
    """Where it ended, as the last fetch before had said; records of an open transaction are before that."""

    def is_reached(self, position: int) -> bool:
        """A position beyond the reported end shows that this was too low. Then the last fetch knew better."""
        return position == self.reported or position >= max(self)


_Ends = Mapping[TopicPartition, _End]


class CaughtUp(Generic[Part]):
    """What a consumer knows of the parts of the log that it reads."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._ahead: dict[Part, tuple[int, _Ends]] = {}
        """The ends that are not reached yet, and when they were asked for."""

    def moments_ms(self, parts: Mapping[Part, Sequence[TopicPartition]], now_ms: int) -> dict[Part, int]:
        """The latest moment of which each part has been read all that it held then; only where that is news.

        ``now_ms`` is by any clock, the same each time.
        """
        every = [tp for partitions in parts.values() for tp in partitions]
        reported = self._consumer.end_offsets(every, timeout_ms=ENDS_MS) if every else {}
        moments: dict[Part, int] = {}
        ahead: dict[Part, tuple[int, _Ends]] = {}
        for part, partitions in parts.items():
            ends = {tp: _End(reported[tp], self._consumer.highwater(tp) or 0) for tp in partitions}
            moment_ms, earlier = self._ahead.get(part, (now_ms, ends))
            if self._has_reached(ends):
                moments[part] = now_ms
            elif self._has_reached(earlier):
                moments[part], ahead[part] = moment_ms, (now_ms, ends)
            else:
                ahead[part] = moment_ms, earlier
        self._ahead = ahead
        return moments

    def _has_reached(self, ends: _Ends) -> bool:
        """Whether all partitions have been delivered up to there; one that was just assigned has no position yet."""
        return all(end.is_reached(self._consumer.position(tp, timeout_ms=ENDS_MS) or 0) for tp, end in ends.items())
