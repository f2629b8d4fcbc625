"""Where the worker's time goes, measured by wrapping the functions that it calls for each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

from loops import Log, work

import consumers.worker.owned_shard
from consumers.trainer.trainer import Trainer
from consumers.worker import loop
from segmenter.topics import ShardConsumer

CUT = "decode and cut"
STAGES: dict[str, tuple[Any, str]] = {
    "poll": (ShardConsumer, "poll"),
    CUT: (loop, "batches_of"),
    "read rows": (consumers.worker.owned_shard, "read_rows"),
    "fold and judge": (consumers.worker.owned_shard, "batch_commit"),
    "commit": (consumers.worker.owned_shard, "commit_shard"),
    "watch drift": (Trainer, "watch"),
    "sweep": (loop, "sweep"),
    "heartbeat, step": (loop.Worker, "_heartbeat"),
}
"""Each step by a name for people: where the worker finds its function. What one calls counts for the outer one."""


def shares(log: Log) -> dict[str, float]:
    """What share of the time from the first record to the last each step takes; the shares add up to 1."""
    spent, at_last = dict.fromkeys(STAGES, 0.0), dict.fromkeys(STAGES, 0.0)
    running: list[str] = []
    begun = False

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal begun
            if running:
                return call(*arguments, **options)
            if name == CUT and not begun:
                begun = True
                spent.update(dict.fromkeys(spent, 0.0))
            running.append(name)
            before = time.monotonic()
            answer = call(*arguments, **options)
            answer = list(answer) if isinstance(answer, Iterator) else answer
            spent[running.pop()] += time.monotonic() - before
            return answer

        return wrapper

    with ExitStack() as wrapped:
        for name, (place, attribute) in STAGES.items():
            wrapped.enter_context(mock.patch.object(place, attribute, timed(name, getattr(place, attribute))))
        seconds = work(log, lambda records: at_last.update(spent)).result.seconds
    return {name: taken / seconds for name, taken in at_last.items()} | {"rest": 1 - sum(at_last.values()) / seconds}
