"""Ways to break something on purpose, to show that a long life finds out. They run inside its processes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import count
from typing import Any


def counts_repeats() -> None:
    """No record is a duplicate."""
    from segmenter.shards.duplicates import DuplicateWindow

    DuplicateWindow.is_duplicate = lambda *_: False  # type: ignore[method-assign]


def never_leaves() -> None:
    """Who moves to another segment stays in the audience of the one before."""
    from segmenter.store import shards

    usual = shards._members
    shards._members = lambda changes, slug: [0, *usual([each for each in changes if each.after == slug], slug)[1:]]


def adds_squares() -> None:
    """Each commit adds one to the sums of squares of the census."""
    from segmenter.model import census

    usual = census.moved

    def moved(*arguments: Any) -> Any:
        return {slug: part + one(part) for slug, part in usual(*arguments).items()}

    def one(part: census.Tally) -> census.Tally:
        nothing = (0,) * len(part.present)
        return census.Tally(0, nothing, nothing, (1, *nothing[1:]) if any(part.present[:1]) else nothing)

    census.moved = moved


def sweeps_nobody() -> None:
    """Shards are marked as judged by a new generation, and nobody is."""
    from consumers.worker import owned_shard

    owned_shard.members = lambda *_: []


def judges_askew() -> None:
    """The last centre attracts nobody."""
    from segmenter.model import kmeans

    usual = kmeans.assign
    kmeans.assign = lambda vectors, model: usual(vectors, model).clip(max=max(0, len(model.centres) - 2))


def ranks_upside_down() -> None:
    """The most engaged segment gets the lowest slug."""
    from segmenter.model import segments

    usual = segments.ranked

    def ranked(parts: Any, means: Any, *others: Any) -> Any:
        return usual(parts, [tuple(-number for number in mean) for mean in means], *others)

    segments.ranked = ranked


def leaves_keys() -> None:
    """Each commit leaves a key."""
    from consumers.worker import owned_shard

    usual, numbers = owned_shard.commit_shard, count()

    def commit_shard(client: Any, settings: Any, shard: int, *others: Any) -> Any:
        client.set(f"{settings.key_prefix}:reply:{shard}-{next(numbers)}", "")
        return usual(client, settings, shard, *others)

    owned_shard.commit_shard = commit_shard


def feed_uncut() -> None:
    """The change feed is not cut off."""
    from segmenter.store import shards

    shards.FEED_LENGTH = 100_000


def keeps_generations() -> None:
    """Old generations stay."""
    from segmenter.store import models

    models.KEPT = 100_000


def keeps_snapshots() -> None:
    """Old snapshots stay."""
    from segmenter import warehouse

    warehouse.remove_snapshots = lambda *_: []


def a_heartbeat_each() -> None:
    """Each sink has a heartbeat of its own."""
    import secrets

    from segmenter.warehouse import sink_heartbeat

    sink_heartbeat._ROW = (secrets.token_hex(4), 0, 0, 0)


def skips_rows() -> None:
    """The sink leaves out the first row of each transaction."""
    from consumers import sink

    usual = sink.convert

    def convert(*arguments: Any) -> Any:
        rows, invalid = usual(*arguments)
        return {topic: several[1:] for topic, several in rows.items()}, invalid

    sink.convert = convert


def leaks() -> None:
    """Every process keeps 1 MB of each second's work."""
    _every_tenth_second(lambda kept: kept.append(b"x" * 100_000))


def leaks_sockets() -> None:
    """The same of sockets."""
    _every_tenth_second(lambda kept: kept.append(socket.socket()) if len(kept) < 500 else None)


def _every_tenth_second(act: Callable[[list[Any]], object]) -> None:
    import threading

    kept: list[Any] = []

    def repeat() -> None:
        while True:
            act(kept)
            threading.Event().wait(0.1)

    threading.Thread(target=repeat, daemon=True).start()


def says_fresh() -> None:
    """A lookup is never stale."""
    from segmenter import client

    usual = client.SegmentClient._freshness
    client.SegmentClient._freshness = lambda *arguments: (usual(*arguments)[0], False)  # type: ignore[method-assign]


def warns() -> None:
    """A worker warns whenever it lists the users to sweep."""
    from consumers.worker import owned_shard

    usual = owned_shard.members

    def members(*arguments: Any) -> Any:
        owned_shard.log.warning("something is odd")
        return usual(*arguments)

    owned_shard.members = members


BREAKS: dict[str, Callable[[], None]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        counts_repeats,
        never_leaves,
        adds_squares,
        sweeps_nobody,
        judges_askew,
        ranks_upside_down,
        leaves_keys,
        feed_uncut,
        keeps_generations,
        keeps_snapshots,
        a_heartbeat_each,
        skips_rows,
        leaks,
        leaks_sockets,
        says_fresh,
        warns,
    )
}
"""By the name that ``--break`` takes."""


def break_if_asked(environ: Any) -> None:
    """Break what the environment of this process names."""
    if name := environ.get("SOAK_BREAK"):
        BREAKS[name]()
