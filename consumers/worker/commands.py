"""What the owner of shards does because others wish it; see `segmenter.store.commands`."""

from __future__ import annotations

import structlog

from consumers.worker.membership import Holding
from consumers.worker.owned_shard import OwnedShard, Superseded, write
from segmenter.model.generation import Generation, digest
from segmenter.shards.state import Batch
from segmenter.store.commands import Answer, Quiet, Write, done, look, read
from segmenter.store.connection import Store

log = structlog.get_logger()


def grant(store: Store, holding: Holding, generation: Generation | None) -> None:
    """Do what is wished of the held shards, in its order, and let those go on that have been quiet for long enough.

    What cannot be read is dropped. Raises `Fenced` when a held shard turns out to be no longer as it was left; what
    was wished then stays for the next owner.
    """
    now_ms, found = look(store.client, store.settings, holding.shards)
    for number, wishes in found.items():
        shard = holding.shards[number]
        for each in wishes:
            try:
                wished = read(each)
            except ValueError as reason:
                log.warning("a wish is dropped", shard=number, reason=str(reason))
                done(store.client, store.settings, number, each)
                continue
            if isinstance(wished, Quiet):
                holding.quieten(shard, (wished.until_ms - now_ms) / 1000)
                granted = True
            else:
                granted = _written(store, shard, wished, generation)
            answer = Answer(granted, shard.state.version)
            done(store.client, store.settings, number, each, [(wished.id, answer)] if wished.id else [])
    holding.wake()


def _written(store: Store, shard: OwnedShard, wished: Write, generation: Generation | None) -> bool:
    """Whether all of it was written: nothing is if the shard has moved on, or another generation is current."""
    if (wished.token, wished.version) != (shard.state.token, shard.state.version):
        return False
    if wished.digest != (digest(generation) if generation else ""):
        return False
    for piece in wished.pieces:
        after = shard.state._replace(census=piece.census, dirty=piece.dirty)
        try:
            write(store, shard, Batch(piece.rows, piece.changes, after, piece.removed), generation)
        except Superseded:
            return False
    log.info("wrote what was wished", shard=shard.number, pieces=len(wished.pieces))
    return True
