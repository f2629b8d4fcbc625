"""A short life holds, and what would be wrong in a long one is found out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumers import worker
from producers.publish import publish
from segmenter.settings import Settings
from segmenter.store.connection import connect
from tests.chaos.processes import run_apart
from tests.loop.plainly import profiles_of
from tests.soak import checks, memory, picture
from tests.soak.checks import Known
from tests.soak.logs import AFTER_A_RESTART, AT_THE_BEGINNING, Logs
from tests.soak.people import People
from tests.soak.picture import Picture

USERS = 320


@pytest.mark.timeout(600)
def test_a_short_life(tmp_path: Path) -> None:
    """Users come, change, and processes are ended and killed meanwhile; after each of these, everything is checked."""
    ended = run_apart("tests.soak", "--minutes 0 --phases 6 --seconds 2 --rate 900 --json", tmp_path)
    assert ended.code == 0, ended.log
    found = json.loads(ended.said)
    assert (found["phases"], found["restarts"], found["wrong"]) == (6, 4, [])
    assert found["users"] == 400 and found["generations"] > 3 and found["commits"] > 2_000 and found["lookups"] > 100


@pytest.fixture
def seen(settings: Settings) -> Iterator[tuple[Picture, Known]]:
    """What Redis holds after some users have come, and have got their segments."""
    people = People(seed=5)
    publish(settings, people.act(2 * USERS, USERS))
    worker.run(settings, once=True)
    known = Known(people.add_up(), people.records, settings.segments, settings.partitions, 100_000, 100)
    yield picture.take(settings.redis_url, settings.key_prefix), known


Spoil = Callable[[Picture], object]


def of(name: str, field: str, change: Callable[[str], str]) -> Spoil:
    """Change a field of one row or shard."""

    def spoil(seen: Picture) -> None:
        fields = next(iter(getattr(seen, name).values()))
        fields[field] = change(fields[field])

    return spoil


def more(text: str) -> str:
    """The first number in it that is not 0, and one more."""
    numbers = json.loads(text)
    name = next(name for name, number in numbers.items() if number)
    return json.dumps(numbers | {name: numbers[name] + 1})


def swapped(seen: Picture) -> None:
    """The model has its slugs in another order; rows and audiences follow, so that only the names are wrong."""
    model = seen.generation
    for name in ("segments", "centres"):
        model[name] = model[name][::-1]
    seen.model[seen.model["current"]] = json.dumps(model)


def lying(seen: Picture) -> None:
    """The least engaged are called the most engaged, and the other way round."""
    low, high = "low_engagement", "highly_engaged"
    for row in seen.rows.values():
        row["segment"] = {low: high, high: low}.get(row["segment"], row["segment"])


def stranger(seen: Picture) -> None:
    next(iter(seen.audiences.values())).add("u1")
    next(iter(reversed(seen.audiences.values()))).add("u1")


def elsewhere(seen: Picture) -> None:
    """Somebody is in another segment than that of the nearest centre."""
    row = seen.rows["u1"]
    row["segment"] = next(slug for _, slug in seen.audiences if slug not in (row["segment"], "unassigned"))


SPOILT: list[tuple[str, Spoil]] = [
    ("aggregates", of("rows", "profile", more)),
    ("aggregates", lambda seen: seen.rows.popitem()),
    ("counts", of("shards", "counts", more)),
    ("counts", of("shards", "offsets", more)),
    ("audiences", stranger),
    ("audiences", lambda seen: [members.discard("u1") for members in seen.audiences.values()]),
    ("census", of("shards", "census", lambda text: text.replace("[", "[1", 1))),
    ("census", of("rows", "vector", lambda text: "1" + text)),
    ("segments", of("rows", "generation", lambda text: str(int(text) - 1))),
    ("segments", elsewhere),
    ("names", swapped),
    ("names", lying),
    ("keys", lambda seen: seen.keys.append("reply:7c0e")),
    ("keys", lambda seen: seen.keys.append("commands:0")),
    ("keys", lambda seen: seen.keys.append("user:u9999")),
    ("feed", lambda seen: [entries.extend(entries * 5_000) for entries in seen.feeds.values()]),
    ("feed", lambda seen: [entries.pop(3) for entries in seen.feeds.values()]),
    ("feed", lambda seen: [entries.pop() for entries in seen.feeds.values()]),
    ("feed", lambda seen: [entries[-1].update(to="") for entries in seen.feeds.values()]),
    ("history", lambda seen: seen.model.pop("1")),
    ("history", lambda seen: seen.model.update({"0": "{}"})),
    ("history", lambda seen: seen.model.update({"something": "else"})),
]


def test_what_is_wrong_in_redis_is_found_out(seen: tuple[Picture, Known]) -> None:
    """Nothing is wrong with what a worker has written, until it is spoilt."""
    found, known = seen
    assert checks.wrong(found, known) == []
    for name, spoil in SPOILT:
        spoilt = copy.deepcopy(found)
        spoil(spoilt)
        assert any(wrong.startswith(f"{name}: ") for wrong in checks.wrong(spoilt, known)), (name, spoil)


def test_pandas_and_plain_python_agree_on_what_the_users_do() -> None:
    """Also when it is added up in parts; silence and change make no difference to that."""
    people, published = People(seed=6), []
    for users, turn in ((1, lambda: None), (40, lambda: people.change(0.5)), (60, lambda: people.fall_silent(0.5))):
        published += people.act(300, users)
        turn()
        people.add_up()
    published += people.act(100, 60)
    table, records = people.add_up(), people.records
    events = [message for message in published if b"event_id" in (message.value or b"")]
    assert {user.encode(): tuple(row) for user, *row in table.itertuples()} == profiles_of(events)
    assert len(table) == 60 and records.total() == len(published) == len(events) + records["invalid"]
    assert min(records["invalid"], records["repeat"]) > 3


def test_what_grows_is_found_out() -> None:
    before = {"worker 1": memory.Use(1, 100.0, 20), "worker 2": memory.Use(2, 100.0, 20)}
    assert list(memory.grown(before, before)) == []
    assert list(memory.grown({}, before)) == []
    larger = {name: use._replace(mb=120.0) for name, use in before.items()}
    assert len(list(memory.grown(before, larger))) == 2
    restarted = {"worker 1": larger["worker 1"]._replace(pid=3), "worker 2": before["worker 2"]._replace(files=40)}
    assert [line.split(" of ")[1].split(" have")[0] for line in memory.grown(before, restarted)] == ["worker 2"]
    assert list(memory.redis_grown(5.0, 5.5)) == [] and len(list(memory.redis_grown(5.0, 9.0))) == 1


def test_a_warning_that_nobody_expects_is_found_out(tmp_path: Path) -> None:
    """So is a line that is no log line; each once, and those of one's own name and reason alone are expected."""
    moved = {"event": "joining the group again", "level": "warning", "reason": "shard 3 has another owner"}
    lines = [moved, moved | {"reason": "something else"}, moved | {"event": "shard parked"}, moved | {"level": "info"}]
    file = tmp_path / "worker 1.log"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "Traceback\ntaking in: 1,234 in 5.6 s\nhalf")
    logs = Logs(tmp_path)
    found = list(logs.unexpected(AFTER_A_RESTART))
    assert [("something else" in line, "parked" in line, "Traceback" in line) for line in found] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert list(logs.unexpected(())) == []
    assert len(list(Logs(tmp_path).unexpected([each._replace(most=0) for each in AFTER_A_RESTART]))) == 4
    file.rename(tmp_path / "sink.log")
    assert len(list(Logs(tmp_path).unexpected(AT_THE_BEGINNING))) == 4


def test_the_picture_has_every_key(settings: Settings) -> None:
    """Also those that no version has written so far."""
    with closing(connect(settings)) as client:
        client.set(f"{settings.key_prefix}:something:new", "")
    assert picture.take(settings.redis_url, settings.key_prefix).keys == ["something:new"]
