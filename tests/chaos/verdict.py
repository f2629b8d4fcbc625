"""What is left in the end, against pandas, against a run that nobody disturbed, and against SQL."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from segmenter import topics, warehouse
from segmenter.model.generation import Generation
from segmenter.model.profiles import fields
from segmenter.settings import Settings
from segmenter.store.connection import Redis, connect
from segmenter.store.models import publish
from segmenter.store.rows import scan_rows
from segmenter.store.shards import read_shards
from tests.chaos.events import Expected
from tests.chaos.faults import Struck
from tests.chaos.processes import command, environment_of
from tests.chaos.world import World

SHARE_IN_FLIGHT = 0.8


class Ending(NamedTuple):
    """The numbers of a run, and what does not hold."""

    numbers: dict[str, Any]
    wrong: list[str]


def settle(world: World) -> None:
    """Let everything be read and judged by the last generation, then have all processes end in order."""
    world.replay.finish()
    world.recover()
    names = topics.event_topics(world.settings)
    goal = topics.ends(world.settings, names)

    def done() -> bool:
        states = read_shards(world.client, world.settings)
        at = {(world.settings.topic_prefix + t, s): o for s, state in states.items() for t, o in state.offsets.items()}
        judged = all(state.generation == world.model.number and not state.dirty for state in states.values())
        return judged and all(at.get(where, 0) >= end for where, end in goal.items())

    world.until(done, "not everything is read and judged")
    for child in world.children():
        code = child.end()
        assert code == 0, f"{child.name} ended with {code}: {child.said()[-2_000:]}"


def undisturbed(client: Redis, settings: Settings, model: Generation) -> dict[str, Any]:
    """The digests of a run over the same log that nobody disturbs, by this generation from the beginning."""
    name = f"{settings.key_prefix}calm"
    calm = dataclasses.replace(settings, key_prefix=name, group=name)
    assert publish(client, calm, model, None)
    command("worker --once --no-refit", environment_of(calm))
    return digests(calm)


def digests(settings: Settings) -> dict[str, Any]:
    """What `segmenter verify --digest` says."""
    found: dict[str, Any] = json.loads(command("verify --digest --json", environment_of(settings)).stdout)
    return found


def per_user(settings: Settings) -> dict[bytes, int]:
    """How many events each user's row counts."""
    counts = [fields(settings.kinds).index(kind.plural) for kind in settings.kinds]
    client = connect(settings)
    found = {row.user: sum(row.profile[at] for at in counts) for rows in scan_rows(client, settings) for row in rows}
    client.close()
    return found


def compare(found: Mapping[bytes, int], expected: Mapping[bytes, int]) -> tuple[int, int]:
    """Events lost, and events counted twice, each summed over the users.

    >>> compare({b"a": 3, b"b": 1}, {b"a": 2, b"b": 3, b"c": 1})
    (3, 1)
    """
    users = found.keys() | expected.keys()
    gaps = [found.get(user, 0) - expected.get(user, 0) for user in users]
    return -sum(gap for gap in gaps if gap < 0), sum(gap for gap in gaps if gap > 0)


def ending(world: World, expected: Expected, struck: list[Struck], points: set[str], asked: int) -> Ending:
    """Every number and, for each that is not as it must be, a line that says so."""
    settings = world.settings
    lost, twice = compare(per_user(settings), expected.counted)
    ours, calm = digests(settings), undisturbed(world.client, settings, world.model)
    command("sink --once", world.environment)
    command("snapshot", world.environment)
    reconciled = json.loads(command("reconcile --json", world.environment, check=False).stdout)
    states = read_shards(world.client, settings)
    counts = [state.counts for state in states.values()]
    dead = sum(sum(count.dead_letters.values()) for count in counts)
    folded, duplicates = sum(count.folded for count in counts), sum(count.duplicates for count in counts)
    records = sum(topics.ends(settings, topics.event_topics(settings)).values())
    with warehouse.connect(settings) as database:
        raw = sum(warehouse.raw_rows(database).values())
    numbers = {
        "faults": len(struck),
        "in_flight": sum(one.in_flight > 0 for one in struck),
        "commits_lost": world.lost_commits,
        "fenced": world.fenced,
        "records": records,
        "events": folded,
        "duplicates": duplicates,
        "dead_letters": dead,
        "compared": reconciled["compared"],
        "differing": sum(reconciled[name] for name in ("differing", "missing", "extra")),
        "lost": lost,
        "counted_twice": twice,
    }
    missing = sorted(points - {point for one in struck for point in one.points})
    promises = {
        f"only {len(struck)} of {asked} faults struck": len(struck) >= asked,
        f"points never struck: {', '.join(missing)}": not missing,
        "too few faults struck while records were in flight": numbers["in_flight"] >= SHARE_IN_FLIGHT * len(struck),
        "Redis never lost a commit, so its loss was not tried": world.lost_commits > 0,
        "the aggregates are not those of pandas over the file": ours["aggregates"] == expected.aggregates,
        "the rows are not those of an undisturbed run": ours["rows"] == calm["rows"],
        "the census is not that of an undisturbed run": ours["census"] == calm["census"],
        "the audiences are not those of an undisturbed run": ours["audiences"] == calm["audiences"],
        "stream and batch differ": numbers["differing"] == 0 and reconciled["compared"] == len(expected.counted),
        "events were lost": lost == 0,
        "events were counted twice": twice == 0,
        "folded + duplicates + dead letters are not the records of the log": folded + duplicates + dead == records,
        "records of the file are not in the log": records >= expected.records,
        "folded + duplicates are not the raw rows": folded + duplicates == raw,
        "the kind that was added is not in force": all(
            (state.offsets or {}).keys() == {kind.topic for kind in settings.kinds} for state in states.values()
        ),
    }
    return Ending(numbers, [wrong for wrong, holds in promises.items() if not holds])
