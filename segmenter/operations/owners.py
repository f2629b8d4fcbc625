"""Writing to shards that others own, by their owners; and to shards that nobody owns, by taking them."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from segmenter.errors import Fenced, SegmenterError, Unreachable
from segmenter.model.generation import Generation, digest
from segmenter.shards.state import Batch, ShardState
from segmenter.store.commands import Answer, Piece, Quiet, Wish, Write, await_answer, take_back, wish
from segmenter.store.connection import Store, clock_ms
from segmenter.store.shards import commit, open_shard, read_shards

ANSWER_SECONDS = 30.0
"""How long an owner may take to answer; it looks once a second, and between two batches."""

LOOK_SECONDS = 3.0
"""How often to look whether it still lives."""

QUIET_SECONDS = 15.0
"""How long a shard stays quiet when whoever asked for it is gone."""

BATCHES_AT_A_TIME = 16
"""How many an owner is asked to write at once."""


@dataclass
class Taken:
    """A shard to which nobody writes but we, or its owner for us."""

    number: int
    state: ShardState
    owned: bool
    """By another, who writes for us."""


def alive(store: Store, numbers: Collection[int]) -> set[int]:
    """Those of the shards whose owner has beaten lately."""
    now_ms = clock_ms(store.client)
    states = read_shards(store.client, store.settings)
    return {
        number
        for number in numbers
        if number in states and now_ms - states[number].beat_ms <= store.settings.stale_after_ms
    }


@contextmanager
def quiet(store: Store, numbers: Collection[int]) -> Iterator[None]:
    """Have the owners of these shards write nothing of their own accord; their records wait in the log meanwhile.

    Raises `Unreachable` when one does not answer, and `Fenced` when one is gone meanwhile.
    """
    ended = threading.Event()
    lasting = threading.Thread(target=_keep_quiet, args=(store, numbers, ended), daemon=True)
    lasting.start()
    try:
        asked = {number: Quiet(_until(store), secrets.token_hex(8)) for number in numbers}
        for number, wished in asked.items():
            wish(store.client, store.settings, number, wished)
        for number, wished in asked.items():
            _answer(store, number, wished)
        yield
    finally:
        ended.set()
        lasting.join()
        for number in numbers:
            wish(store.client, store.settings, number, Quiet(0))


def _keep_quiet(store: Store, numbers: Collection[int], ended: threading.Event) -> None:
    while not ended.wait(QUIET_SECONDS / 3):
        with suppress(SegmenterError):  # if it stays so, the shard moves on, and that is noticed
            for number in numbers:
                wish(store.client, store.settings, number, Quiet(_until(store)))


def _until(store: Store) -> int:
    return clock_ms(store.client) + int(QUIET_SECONDS * 1000)


@contextmanager
def taken(store: Store, numbers: Collection[int]) -> Iterator[dict[int, Taken]]:
    """Shards to write to: quiet ones of living owners, and of those that have none, our own from now on."""
    owned = alive(store, numbers)
    with quiet(store, owned):
        states = read_shards(store.client, store.settings)
        yield {
            number: Taken(number, states[number] if number in owned else open_shard(*store, number), number in owned)
            for number in sorted(numbers)
        }


def write(store: Store, shard: Taken, batches: Iterable[Batch], generation: Generation | None) -> None:
    """Write batches, one after the other, each whole or not at all. Raises `Fenced` when somebody came in between."""
    judged_by = digest(generation) if generation else ""
    if shard.owned:
        rest = iter(batches)
        while several := list(islice(rest, BATCHES_AT_A_TIME)):
            _write_by_owner(store, shard, several, judged_by)
        return
    for batch in batches:
        answer, after = commit(store.client, store.settings, shard.number, shard.state, batch, judged_by)
        if answer not in ("ok", "done"):
            raise _moved(shard.number)
        shard.state = after


def _write_by_owner(store: Store, shard: Taken, batches: Collection[Batch], judged_by: str) -> None:
    pieces = [
        Piece(list(batch.rows), list(batch.changes), list(batch.removed), batch.after.census, batch.after.dirty)
        for batch in batches
    ]
    wished = Write(shard.state.token, shard.state.version, judged_by, pieces, secrets.token_hex(8))
    wish(store.client, store.settings, shard.number, wished)
    answer = _answer(store, shard.number, wished)
    if not answer.granted:
        raise _moved(shard.number)
    shard.state = shard.state._replace(version=answer.version)


def _answer(store: Store, number: int, wished: Wish) -> Answer:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        answer = await_answer(store.client, store.settings, wished, LOOK_SECONDS)
        if answer is not None:
            return answer
        if not alive(store, {number}):
            take_back(store.client, store.settings, number, wished)
            raise Fenced(f"the owner of shard {number} is gone: try again")
    take_back(store.client, store.settings, number, wished)
    raise Unreachable(
        f"the owner of shard {number} did not answer within {ANSWER_SECONDS:.0f} s: is its worker well? See "
        "`segmenter status`, and try again."
    )


def _moved(number: int) -> Fenced:
    return Fenced(f"shard {number} was written to meanwhile: try again")
