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

    User and event id are known by a digest of 128 bits: that two in a window have the same one is as good as excluded.
    Offset and digest are kept in 24 bytes, a few entries to a string of bytes, oldest first: as Python objects a
    million of them would take 300 MB. The digest is keyed with ``key``, 16 random bytes or more: whoever knew it could
    send event ids that all fall into one string of bytes, which is searched from end to end.

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
        self._horizon = dict.fromkeys(offsets, bytes(OFFSET_BYTES))

    def is_duplicate(self, topic: str, user: bytes, event_id: str, offset: int) -> bool:
        """Remember that the event was seen here, and tell whether it is a duplicate."""
        known_by = user + b"\xff" + event_id.encode()  # no UTF-8 has 0xff
        digest = blake2b(known_by, key=self._key, digest_size=DIGEST_BYTES).digest()
        buckets = self._buckets[topic]
        number = int.from_bytes(digest[:OFFSET_BYTES]) % len(buckets)
        entries = buckets[number]
        if entries[:OFFSET_BYTES] < self._horizon[topic]:
            entries = entries[ENTRY_BYTES:]
        at = entries.find(digest)
        before = -1
        if at > 0:
            before = int.from_bytes(entries[at - OFFSET_BYTES : at])
            entries = entries[: at - OFFSET_BYTES] + entries[at + DIGEST_BYTES :]
        buckets[number] = entries + offset.to_bytes(OFFSET_BYTES) + digest
        return at > 0 and offset - before <= self._window

    def expire(self, offsets: Mapping[str, int]) -> None:
        """No record before ``offsets`` comes any more: what none can repeat makes room for the next."""
        self._horizon = {
            topic: max(0, offset - self._window).to_bytes(OFFSET_BYTES) for topic, offset in offsets.items()
        }
