"""Whether a shard's census, audiences and rows fit each other."""

from __future__ import annotations

from segmenter.digests import Digests, Judged, digests
from segmenter.settings import Settings
from segmenter.store.connection import Redis
from segmenter.store.rows import scan_rows
from segmenter.store.shards import read_shards


def digest_of(client: Redis, settings: Settings) -> Digests:
    """What the store amounts to; exact while nobody writes."""
    rows = {
        row.user: Judged(row.profile, row.segment, row.generation, row.vector)
        for batch in scan_rows(client, settings)
        for row in batch
    }
    return digests(rows, [state.census for state in read_shards(client, settings).values()])
