"""The duplicate window: which event ids a shard has seen lately."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

OFFSET_BYTES, DIGEST_BYTES = 8, 16
ENTRY_BYTES = OFFSET_BYTES + DIGEST_BYTES
BUCKET_ENTRIES = 8
"""How many entries of a full duplicate window share one string of bytes, on average."""


class DuplicateWindow:
    """Where each (user, event id) of a shard was last seen, as far back as the duplicate window reaches.

    A record is a duplicate when the one before it with the same user and event id, in the same topic and
    partition, is at most ``window`` offsets older, whether or not that one counted.

    User and event id are known by a digest of 128 bits; that two in a window have the same one is hardly possible.
    Offset and digest are kept in 24 bytes, a few entries to a string of bytes, oldest first: as Python objects a
    million of them would take 300 MB. The digest is keyed with ``key``, 16 random bytes or more: somebody who knew it
    could send event ids that all fall into one string of bytes, which is searched from end to end.

    Records come in the order of their offsets. What was seen is settled once it is applied; what is not settled can be
    seen again, after `reopen`.

    >>> seen = DuplicateWindow(window=10, offsets={"views": 0}, key=bytes(16))
    >>> [seen.is_duplicate("views", b"u42", "e1", offset) for offset in (0, 10, 21)]
    [False, True, False]
    """

    def __init__(self, window: int, offsets: Mapping[str, int], key: bytes) -> None:
        self._window = window
        self._key = key
        self.next = {topic: offset - window for topic, offset in offsets.items()}
        """The next offset to look at, by topic; it begins a window before the next offset to apply."""
        self._buckets = {topic: [b""] * (window // BUCKET_ENTRIES + 1) for topic in offsets}
        self._undo: list[tuple[list[bytes], int, bytes]] = []
        """What the buckets held before the records that are not settled, the oldest first."""
        self.settle(offsets)

    def is_duplicate(self, topic: str, user: bytes, event_id: str, offset: int) -> bool:
        """Remember that the event was seen here, and return whether it is a duplicate."""
        known_by = user + b"\xff" + event_id.encode()  # no UTF-8 has 0xff
        digest = blake2b(known_by, key=self._key, digest_size=DIGEST_BYTES).digest()
        buckets = self._buckets[topic]
        number = int.from_bytes(digest[:OFFSET_BYTES]) % len(buckets)
        entries = buckets[number]
        self._undo.append((buckets, number, entries))
        if entries[:OFFSET_BYTES] < max(0, offset - self._window).to_bytes(OFFSET_BYTES):
            entries = entries[ENTRY_BYTES:]
        at = entries.find(digest)
        before = -1
        if at > 0:
            before = int.from_bytes(entries[at - OFFSET_BYTES : at])
            entries = entries[: at - OFFSET_BYTES] + entries[at + DIGEST_BYTES :]
        buckets[number] = entries + offset.to_bytes(OFFSET_BYTES) + digest
        return at > 0 and offset - before <= self._window

    def settle(self, offsets: Mapping[str, int]) -> None:
        """All that was seen is applied, or lies before ``offsets``, the next ones to apply."""
        self._settled, self._settled_next = dict(offsets), dict(self.next)
        self._undo.clear()

    def reopen(self, offsets: Mapping[str, int]) -> bool:
        """Go on at these next offsets to apply, as if nothing had been seen since the last `settle`.

        False, with nothing changed, if one of them is before the settled ones.
        """
        if any(offset < self._settled[topic] for topic, offset in offsets.items()):
            return False
        for buckets, number, entries in reversed(self._undo):
            buckets[number] = entries
        self.next = {topic: max(at, offsets[topic] - self._window) for topic, at in self._settled_next.items()}
        self.settle(offsets)
        return True
