"""The consumer group that the workers join, and the move to a new one when the broker has lost it."""

from __future__ import annotations

from segmenter.errors import OwnershipLost
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.store.connection import Store
from segmenter.store.meta import claim, group_in_use, next_group
from segmenter.topics import ShardConsumer, TopicGuard


class KindsAdded(Exception):
    """Kinds of events have been added to those in force: begin anew with them."""


class Groups:
    """The group in use, whose name the store holds, and whether it still assigns shards.

    The embedded broker (Tansu 0.6) waits for ever for a member that left at the wrong moment.
    """

    def __init__(self, store: Store, guard: TopicGuard, wanted: Settings) -> None:
        self._store = store
        self._wanted = wanted
        self._guard = guard
        self._stuck_in = ""
        """The group that was left during an endless rebalance, until a group assigns shards again."""

    def join(self) -> ShardConsumer:
        """A new member of the group in use. Raises `KindsAdded`.

        The rules are read after the group: members of one group read the same topics.
        """
        group = group_in_use(*self._store)
        self.check_kinds()
        return ShardConsumer(self._store.settings, group)

    def check_kinds(self) -> None:
        """Raise `KindsAdded` if more kinds are in force than the store was opened with, and what `claim` does."""
        if claim(self._store.client, self._wanted, Rules.of(self._wanted)).kinds != self._store.settings.kinds:
            raise KindsAdded

    def number_of(self, consumer: ShardConsumer) -> str:
        """The number of a member's group; empty for the first."""
        return consumer.group.removeprefix(f"{self._store.settings.group}.").partition(".")[2]

    def check(self, consumer: ShardConsumer) -> None:
        """Raise `OwnershipLost` when the workers have moved to another group."""
        group = group_in_use(*self._store)
        if consumer.group != group:
            raise OwnershipLost(f"the workers have moved to the group {group}")

    def has_assigned(self) -> None:
        """The group has assigned shards, so it is not stuck."""
        self._stuck_in = ""

    def check_stuck(self, consumer: ShardConsumer) -> None:
        """Raise `OwnershipLost` during an endless rebalance.

        To join again may help; if that has been tried, all workers move to a new group.
        """
        if not consumer.stuck():
            return
        self._guard.ids()  # raises when the broker cannot be reached, which is another fault
        if self._stuck_in == consumer.group:
            next_group(*self._store, consumer.group)
        self._stuck_in = consumer.group
        raise OwnershipLost(f"the group {consumer.group} has been rebalancing without end")
