"""What can happen: each fault strikes, repairs what an operator would repair, and says what it struck."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from segmenter.crash_points import SINK_POINTS, WORKER_POINTS
from segmenter.store.keys import Keys
from segmenter.store.shards import read_shards
from tests.chaos.processes import Child
from tests.chaos.world import World

CUT_KB = 64
"""How much of the append-only file's end is at stake: some commits."""


class Struck(NamedTuple):
    """One fault, at the moment it struck."""

    kind: str
    at: str
    """The point, the shard and its offsets, if there are any."""
    in_flight: int
    points: tuple[str, ...] = ()
    """The named points that were struck."""


Fault = Callable[[World], Struck]


def worker_at(point: str) -> Fault:
    """kill -9 of a worker just after a point."""
    if point in BROUGHT_ABOUT:
        return BROUGHT_ABOUT[point]
    return lambda world: _killed(world, [world.rng.choice(world.workers)], point, world.rng.randint(1, 3))


def sink_at(point: str) -> Fault:
    """kill -9 of the sink just after a point."""

    def fault(world: World) -> Struck:
        struck = _killed(world, [world.sink], point, world.rng.randint(1, 2))
        return struck._replace(in_flight=world.in_flight_to_sink())

    return fault


def _killed(world: World, children: list[Child], point: str, times: int = 1) -> Struck:
    """The first of these to reach the point dies there."""
    for child in children:
        child.order(point, times)
    struck = world.strike_of(children)
    struck.child.died()
    who = struck.child.name.split()[0]
    return Struck(f"{who} killed", f"after {point}, {struck.at}", world.in_flight(), (point,))


def _acquiring(world: World) -> Struck:
    """A worker dies, and the one started in its place dies as it acquires its first shard."""
    child = world.rng.choice(world.workers)
    child.send(signal.SIGKILL)
    child.start()
    return _killed(world, [child], "acquire")


def _sweeping(world: World) -> Struck:
    """A generation is published, and a worker dies as it judges everyone again."""
    for child in world.workers:
        child.order("sweep", world.rng.randint(1, 3))
    world.publish_next()
    struck = world.strike_of(world.workers)
    struck.child.died()
    return Struck("worker killed", f"after sweep, {struck.at}", world.in_flight(), ("sweep",))


def _recounting(world: World) -> Struck:
    """A script fails half-way, since a stream is a string for a while; a worker dies as it recounts the shard."""
    for child in world.workers:
        child.order("recount")
    _half_fail(world)
    struck = world.strike_of(world.workers)
    struck.child.died()
    return Struck("worker killed", f"after recount, {struck.at}", world.in_flight(), ("recount",))


def half_failed(world: World) -> Struck:
    """A script fails half-way and leaves a dirty shard; nobody dies."""
    shard = _half_fail(world)
    return Struck("script failed half-way", f"shard {shard}", world.in_flight())


def _half_fail(world: World) -> int:
    """Put a string in the place of a feed until a shard is dirty. A new generation makes users move."""
    shard = world.rng.choice(sorted(read_shards(world.client, world.settings)))
    feed = Keys(world.settings.key_prefix).feed(shard)
    world.client.rename(feed, f"{feed}:aside")
    world.client.set(feed, "no stream")
    world.publish_next()
    world.until(lambda: read_shards(world.client, world.settings)[shard].dirty, f"shard {shard} is not dirty")
    world.client.rename(f"{feed}:aside", feed)
    return shard


BROUGHT_ABOUT: dict[str, Fault] = {"acquire": _acquiring, "sweep": _sweeping, "recount": _recounting}
"""Points that a worker does not reach by itself."""


def at_any_moment(world: World) -> Struck:
    """kill -9 of a worker, wherever it is."""
    time.sleep(world.rng.uniform(0.0, 1.5))
    in_flight = world.in_flight()
    world.rng.choice(world.workers).send(signal.SIGKILL)
    return Struck("worker killed", "at any moment", in_flight)


def zombie(world: World) -> Struck:
    """SIGSTOP of a worker about to commit, until another owns one of its shards; then it wakes up, and is fenced."""
    child = world.rng.choice(world.workers)
    child.order("fold", 1, signal.SIGSTOP)
    struck = world.strike_of([child])
    in_flight, before, fenced = world.in_flight(), world.tokens(), world.fenced_now()
    number = int(struck.at.split()[1])
    world.until(lambda: world.tokens()[number] != before[number], f"nobody acquired shard {number} of the stopped one")
    child.send(signal.SIGCONT)
    world.until(lambda: world.fenced_now() > fenced, "the worker that was stopped has not been fenced")
    world.fenced += world.fenced_now() - fenced
    return Struck("worker stopped past its session", f"after fold, {struck.at}; fenced", in_flight, ("fold",))


def joins(world: World) -> Struck:
    """Another worker joins the group; if one has joined before, a worker leaves first."""
    if len(world.workers) > 2:
        leaves(world)
    in_flight = world.in_flight()
    world.joined += 1
    name = f"worker {world.joined}"
    before = world.tokens()
    newcomer = Child(name, "worker --no-refit", world.environment, world.folder)
    world.workers.append(newcomer)
    newcomer.start()
    world.until(lambda: world.tokens() != before, f"{name} was assigned no shard")
    return Struck("worker joins", f"{len(world.workers)} of them now", in_flight)


def leaves(world: World) -> Struck:
    """A worker is asked to end, and does so in order."""
    in_flight = world.in_flight()
    child = world.rng.choice(world.workers)
    code = child.end()
    assert code == 0, f"{child.name} ended with {code} on SIGTERM: {child.said()[-2_000:]}"
    if len(world.workers) > 2:
        world.workers.remove(child)
    return Struck("worker leaves", f"{len(world.workers)} of them now", in_flight)


def two_workers(world: World) -> Struck:
    """kill -9 of two workers at once."""
    first, *_ = pair = world.rng.sample(world.workers, 2)
    struck = _killed(world, [first], world.rng.choice(["poll", "fold", "commit"]))
    for child in pair:
        child.send(signal.SIGKILL)
    return struck._replace(kind="two workers killed")


def worker_and_sink(world: World) -> Struck:
    """kill -9 of a worker, and of the sink at the same time."""
    struck = _killed(world, [world.rng.choice(world.workers)], world.rng.choice(["decode", "fold", "commit"]))
    world.sink.send(signal.SIGKILL)
    return struck._replace(kind="worker and sink killed")


WORKERS: dict[str, Fault] = {f"worker at {point}": worker_at(point) for point in WORKER_POINTS} | {
    "worker": at_any_moment,
    "half-failed script": half_failed,
    "zombie": zombie,
    "join": joins,
    "leave": leaves,
    "two workers": two_workers,
    "worker and sink": worker_and_sink,
}
SINKS: dict[str, Fault] = {f"sink at {point}": sink_at(point) for point in SINK_POINTS}
