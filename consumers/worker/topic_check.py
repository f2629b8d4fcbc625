"""The check that what is read is of the topics on which the shards were acquired, not of recreated ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from segmenter.errors import LogTruncated, PartitionsDiffer
from segmenter.topics import ShardConsumer, TopicGuard

INTERRUPTED_SECONDS = 0.05
"""Between fetches no further apart than this, nobody deletes a topic, recreates it and fills it to where we were."""


class TopicCheck:
    """The ids of the topics, and since when they have been read without a pause.

    To be sure of records, the brokers must be asked after these were read, unless the client would know by itself.
    """

    def __init__(self, guard: TopicGuard) -> None:
        self._guard = guard
        self._started: set[int] = set()
        """Shards of which nothing has been read since they were started."""
        self._read = 0.0
        self.ids: dict[str, str] = {}

    def learn(self) -> bool:
        """Take the topics to be those that the brokers have now; returns whether they are still the same."""
        before, self.ids = self.ids, self._guard.ids()
        return before == self.ids

    def check(self) -> None:
        """Raise `TopicRecreated` unless the topics are still the same."""
        self._guard.check(self.ids)

    @contextmanager
    def suspected(self) -> Iterator[None]:
        """When the log is not as it should be, raise `TopicRecreated` if the reason is that a topic was recreated."""
        try:
            yield
        except (LogTruncated, PartitionsDiffer):
            self.check()
            raise

    def start(self, shard: int) -> None:
        """Note that the reading of a shard begins, perhaps after a pause."""
        self._started.add(shard)

    def check_read(self, consumer: ShardConsumer, shards: Iterable[int], began: float) -> None:
        """Raise `TopicRecreated` if what has just been read of some shards is not of these topics.

        ``began`` is when the read began, by the monotonic clock.
        """
        interrupted = began > self._read + INTERRUPTED_SECONDS
        self._read = time.monotonic()
        read = set(shards)
        if read and (interrupted or read & self._started or not consumer.knows_topics(self.ids)):
            self.check()
            self._started -= read
