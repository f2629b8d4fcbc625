"""What a long life may not exceed."""

from __future__ import annotations

FEED_LENGTH = 500
"""About how many changes a shard's feed keeps here."""

FEED_NODE = 100
"""How many entries a node of a stream holds (Redis' stream-node-max-entries): a feed is cut off by whole nodes."""

GENERATIONS_KEPT = 20
"""How many generations stay readable here."""

SNAPSHOTS_KEPT = 5

TRAINER_PAUSE_SECONDS = 3.0
"""How long the trainer waits here after a refit that failed and, for drift, after a refit for drift."""

NEARLY_ALIKE = 0.1
"""Users of a segment may do more than those of the one above, by this share of 1 + what those above do."""

STALE_SHARE = 0.1
"""How many lookups may be stale in a steady phase: the machine may be busy with something else for a while."""

GROWN_MB = 6.0
"""By how much the memory of a process may grow in a phase with the same users, after one to warm up."""

GROWN_FILES = 8
"""By how many the open files and sockets of a process may grow meanwhile; a connection that is replaced closes late."""

REDIS_GROWN_MB = 2.0
"""By how much what Redis holds in memory may grow meanwhile: the rows have longer numbers."""
