"""One run from its first event to its verdict."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from segmenter.crash_points import SINK_POINTS, WORKER_POINTS
from segmenter.kinds import BUILT_IN, Kind, pick
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


class Options(NamedTuple):
    """What was asked for."""

    parts: parts.Which
    faults: int
    records: int
    """Events for each fault."""
    seed: int
    broken: str
    """The way to break the promise; empty for none."""
    folder: Path


def run(options: Options, show: Show) -> verdict.Ending:
    """Do it all; the folder goes if everything holds."""
    rng = random.Random(options.seed)
    all_kinds = kinds(options.parts, bool(options.broken))
    names = schedule(all_kinds, options.faults, rng)
    file = options.folder / "events.jsonl"
    every = pick(BUILT_IN)
    lines = events.write(
        file, (len(names) + 2) * options.records, USERS, options.seed, kinds=every, at_first=at_first(options)
    )
    expected = events.expected(file, every)
    show.say(
        f"{len(names)} faults by seed {options.seed}, {lines:,} records, {options.parts} parts, in {options.folder}"
    )
    points = set() if options.broken else {*WORKER_POINTS, *SINK_POINTS}
    began = time.monotonic()
    struck: list[Struck] = []
    recovering: list[tuple[int, Struck, float]] = []
    with parts.running(options.parts, options.folder) as on, _world(on, options, rng, file, lines) as world:
        try:
            for number, name in enumerate(names):
                if not options.broken and 0 <= (step := number - len(names) // 2) < 3:
                    _await_back(world, recovering, show)
                    world.add_kind(step)
                    world.recover()
                if name not in AT_ANY_TIME or options.broken:
                    _await_back(world, recovering, show)
                world.replay.go_to((number + 3) * lines // (len(names) + 3))
                world.await_records()
                if one := _strike(world, all_kinds[name]):
                    struck.append(one)
                    recovering.append((len(struck), one, time.monotonic()))
            _await_back(world, recovering, show)
            verdict.settle(world)
            if options.parts == "real" and not options.broken:
                at = time.monotonic()
                for one in log_faults.strike(world):
                    struck.append(one)
                    show.fault(len(struck), one, time.monotonic() - at)
                    at = time.monotonic()
            ended = verdict.ending(world, expected, struck, points, len(names))
        except NotBack as reason:
            ended = verdict.Ending({"faults": len(struck)}, [str(reason)])
    ended.numbers["seconds"] = round(time.monotonic() - began)
    if not ended.wrong:
        shutil.rmtree(options.folder)
    return ended


def at_first(options: Options) -> tuple[Kind, ...]:
    """The kinds that are on in the beginning: all but the last, unless the promise is broken."""
    return pick(BUILT_IN) if options.broken else pick(BUILT_IN)[:-1]


def _strike(world: World, kind: Callable[[World], Struck]) -> Struck | None:
    """Let a fault strike; one that misses, because no process reached its point, is tried again a few times."""
    for _ in range(TRIES):
        try:
            return kind(world)
        except Missed:
            continue
        finally:
            world.recover()
    return None


def _await_back(world: World, recovering: list[tuple[int, Struck, float]], show: Show) -> None:
    """Wait until all is back from the faults since the last time, and report them."""
    world.await_back()
    for number, struck, began in recovering:
        show.fault(number, struck, time.monotonic() - began)
    recovering.clear()


@contextmanager
def _world(on: parts.Parts, options: Options, rng: random.Random, file: Path, lines: int) -> Iterator[World]:
    """Workers, sink and replay at work, with a first model made from the first records."""
    every = environment_of(on.settings, CHAOS_BREAK=options.broken)
    environment = every | {"SEGMENTER_KINDS": ",".join([kind.name for kind in at_first(options)])}
    client = connect(on.settings)
    replay = Replay(file, lines, options.records / SECONDS_A_FAULT, every, options.folder)
    workers = [Child(f"worker {number}", "worker --no-refit", environment, options.folder) for number in (1, 2)]
    sink = Child("sink", "sink", environment, options.folder)
    try:
        replay.go_to(options.records)
        while replay.sent < options.records // 2:
            time.sleep(0.1)
        command("worker --once", environment)
        model = read_model(client, on.settings)
        assert model is not None, "the first records made no model"
        world = World(on, options.folder, rng, client, environment, replay, workers, sink, model)
        world.recover()
        yield world
    finally:
        replay.kill()
        for child in [*workers, sink]:
            if child.living():
                child.kill()
        client.close()
