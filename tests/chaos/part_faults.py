"""What can happen to the parts: Redis dies, forgets or stops; the broker and the database die or stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.faults import CUT_KB, Fault, Struck
from tests.chaos.world import World

COMMITS_BEFORE_OLDER = 12
"""How many commits an older copy lacks, at least."""


def redis_killed(world: World) -> Struck:
    """kill -9 of Redis. It has written all that it confirmed to the kernel, so nothing is lost."""
    in_flight = world.in_flight()
    lost = _forget(world, lambda: None)
    assert lost == 0, f"Redis lost {lost} commits by a mere kill -9"
    return Struck("Redis killed", "nothing lost", in_flight)


def redis_cut(world: World) -> Struck:
    """kill -9 of Redis, and the end of its append-only file is gone, as when a machine goes down."""
    in_flight = world.in_flight()
    cut = 0

    def damage() -> None:
        nonlocal cut
        cut = world.parts.redis.cut_tail(world.rng, CUT_KB)

    lost = _forget(world, damage)
    return Struck("Redis killed and cut", f"{cut:,} bytes, {lost} commits lost", in_flight)


def redis_older(world: World) -> Struck:
    """kill -9 of Redis, and an older copy of its files is put back."""
    world.parts.redis.copy()
    enough = sum(world.versions().values()) + COMMITS_BEFORE_OLDER
    world.until(lambda: sum(world.versions().values()) >= enough, "there were no commits")
    in_flight = world.in_flight()
    lost = _forget(world, world.parts.redis.put_back)
    return Struck("Redis killed, older copy put back", f"{lost} commits lost", in_flight)


def redis_paused(world: World) -> Struck:
    """Redis does not answer for 3 s."""
    in_flight = world.in_flight()
    world.parts.redis.pause()
    time.sleep(3.0)
    world.parts.redis.resume()
    return Struck("Redis stopped", "for 3.0 s", in_flight)


def worker_and_redis(world: World) -> Struck:
    """kill -9 of a worker in its commit and of Redis, which forgets."""
    child = world.rng.choice(world.workers)
    child.order("commit")
    struck = world.strike_of([child])
    child.died()
    return (
        redis_cut(world)
        ._replace(kind="worker and Redis killed, Redis cut", points=("commit",))
        ._replace(at=f"after commit, {struck.at}")
    )


def _forget(world: World, damage: Callable[[], None]) -> int:
    """Kill Redis, damage its files, restart it; how many commits it lost. Workers stand still only while that is read.

    What it had confirmed is known from just before, so the number is at least so many.
    """
    before = world.versions()
    world.parts.redis.kill()
    stopped = [child for child in world.workers if child.living()]
    for child in stopped:
        child.send(signal.SIGSTOP)
    damage()
    world.parts.redis.restart()
    after = world.versions()
    world.publish_again()
    for child in stopped:
        child.send(signal.SIGCONT)
    lost = sum(max(0, version - after.get(number, 0)) for number, version in before.items())
    world.lost_commits += lost
    return lost


def broker_paused(world: World) -> Struck:
    """The broker does not answer for some seconds."""
    in_flight = world.in_flight()
    seconds = world.rng.uniform(3.0, 8.0)
    world.parts.broker.pause()
    time.sleep(seconds)
    world.parts.broker.resume()
    return Struck("broker stopped", f"for {seconds:.1f} s", in_flight)


def broker_killed(world: World) -> Struck:
    """kill -9 of the broker; it is started again on its files."""
    in_flight = world.in_flight()
    world.parts.broker.kill()
    world.parts.broker.revive()
    return Struck("broker killed", "", in_flight)


def worker_and_broker(world: World) -> Struck:
    """kill -9 of a worker in its commit and of the broker."""
    child = world.rng.choice(world.workers)
    child.order("commit")
    struck = world.strike_of([child])
    child.died()
    return broker_killed(world)._replace(
        kind="worker and broker killed", at=f"after commit, {struck.at}", points=("commit",)
    )


def database_killed(world: World) -> Struck:
    """kill -9 of the database; it is started again on its files."""
    in_flight = world.in_flight_to_sink()
    world.parts.database.kill()
    world.parts.database.revive()
    return Struck("database killed", "", in_flight)


def sink_and_database(world: World) -> Struck:
    """kill -9 of the sink with a transaction open, and of the database."""
    world.sink.order("insert")
    struck = world.strike_of([world.sink])
    world.sink.died()
    return database_killed(world)._replace(
        kind="sink and database killed", at=f"after insert, {struck.at}", points=("insert",)
    )


PARTS: dict[str, Fault] = {
    "Redis": redis_killed,
    "Redis cut": redis_cut,
    "older copy": redis_older,
    "Redis stopped": redis_paused,
    "worker and Redis": worker_and_redis,
    "broker stopped": broker_paused,
}
ONLY_REAL: dict[str, Fault] = {
    "broker": broker_killed,
    "worker and broker": worker_and_broker,
    "database": database_killed,
    "sink and database": sink_and_database,
}
"""The embedded broker keeps its log in memory, and the embedded database is a file."""
