"""One run from its first event to its verdict."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from segmenter.crash_points import SINK_STEPS, WORKER_STEPS
from segmenter.store.connection import connect
from segmenter.store.models import read_model
from tests.chaos import events, log_faults, parts, verdict
from tests.chaos.faults import Struck
from tests.chaos.processes import Child, Replay, command, environment_of
from tests.chaos.schedule import AT_ANY_TIME, kinds, schedule
from tests.chaos.show import Show
from tests.chaos.world import Missed, NotBack, World

USERS = 3_000
TRIES = 3
SECONDS_A_FAULT = 4.0
"""How long the records of one fault last."""


class Wishes(NamedTuple):
    """What was asked for."""

    parts: parts.Which
    faults: int
    records: int
    """Events for each fault."""
    seed: int
    broken: str
    """The way to break the promise; empty for none."""
    folder: Path


def run(wishes: Wishes, show: Show) -> verdict.Ending:
    """Do it all; the folder goes if everything holds."""
    rng = random.Random(wishes.seed)
    all_kinds = kinds(wishes.parts, bool(wishes.broken))
    names = schedule(all_kinds, wishes.faults, rng)
    file = wishes.folder / "events.jsonl"
    lines = events.write(file, (len(names) + 2) * wishes.records, USERS, wishes.seed)
    expected = events.expected(file)
    show.say(f"{len(names)} faults by seed {wishes.seed}, {lines:,} records, {wishes.parts} parts, in {wishes.folder}")
    steps = set() if wishes.broken else {*WORKER_STEPS, *SINK_STEPS}
    began = time.monotonic()
    struck: list[Struck] = []
    recovering: list[tuple[int, Struck, float]] = []
    with parts.running(wishes.parts, wishes.folder) as on, _world(on, wishes, rng, file, lines) as world:
        try:
            for number, name in enumerate(names):
                if name not in AT_ANY_TIME or wishes.broken:
                    _await_back(world, recovering, show)
                world.replay.go_to((number + 3) * lines // (len(names) + 3))
                world.await_records()
                if one := _strike(world, all_kinds[name]):
                    struck.append(one)
                    recovering.append((len(struck), one, time.monotonic()))
            _await_back(world, recovering, show)
            verdict.settle(world)
            if wishes.parts == "real" and not wishes.broken:
                at = time.monotonic()
                for one in log_faults.strike(world):
                    struck.append(one)
                    show.fault(len(struck), one, time.monotonic() - at)
                    at = time.monotonic()
            ended = verdict.ending(world, expected, struck, steps, len(names))
        except NotBack as reason:
            ended = verdict.Ending({"faults": len(struck)}, [str(reason)])
    ended.numbers["seconds"] = round(time.monotonic() - began)
    if not ended.wrong:
        shutil.rmtree(wishes.folder)
    return ended


def _strike(world: World, kind: Callable[[World], Struck]) -> Struck | None:
    """Let a fault strike; one that misses, because nothing came by, is tried again a few times."""
    for _ in range(TRIES):
        try:
            return kind(world)
        except Missed:
            continue
        finally:
            world.recover()
    return None


def _await_back(world: World, recovering: list[tuple[int, Struck, float]], show: Show) -> None:
    """Wait until all is back from the faults since the last time, and tell of them."""
    world.await_back()
    for number, struck, began in recovering:
        show.fault(number, struck, time.monotonic() - began)
    recovering.clear()


@contextmanager
def _world(on: parts.Parts, wishes: Wishes, rng: random.Random, file: Path, lines: int) -> Iterator[World]:
    """Workers, sink and replay at work, with a first model made from the first records."""
    environment = environment_of(on.settings, CHAOS_BREAK=wishes.broken)
    client = connect(on.settings)
    replay = Replay(file, lines, wishes.records / SECONDS_A_FAULT, environment, wishes.folder)
    workers = [Child(f"worker {number}", "worker --no-refit", environment, wishes.folder) for number in (1, 2)]
    sink = Child("sink", "sink", environment, wishes.folder)
    try:
        replay.go_to(wishes.records)
        while replay.sent < wishes.records // 2:
            time.sleep(0.1)
        command("worker --once", environment)
        model = read_model(client, on.settings)
        assert model is not None, "the first records made no model"
        world = World(on, wishes.folder, rng, client, environment, replay, workers, sink, model)
        world.recover()
        yield world
    finally:
        replay.kill()
        for child in [*workers, sink]:
            if child.alive():
                child.kill()
        client.close()
