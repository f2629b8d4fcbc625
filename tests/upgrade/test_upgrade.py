"""What an earlier version left behind is opened by this one, which goes on where that one stopped."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import text

from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import START_MS, generate
from producers.synthetic.invalid import invalid_records
from segmenter import warehouse
from segmenter.client import SegmentClient
from segmenter.operations import restore, snapshot
from segmenter.operations.integrity.verify import find_differences
from segmenter.operations.reconcile import reconcile, reconcile_and_repair
from segmenter.settings import Settings
from segmenter.store.connection import Store
from segmenter.store.keys import Keys
from segmenter.store.shards import acquire_shard, read_shards
from segmenter.topics.dead_letters import read_dead_letters
from segmenter.warehouse import Warehouse
from segmenter.warehouse.engine import writing
from tests.loop.helpers import profiles
from tests.loop.plainly import profiles_of
from tests.upgrade.left import Left
from tests.warehouse.world import MIGRATIONS

BAD = 7


def more(left: Left) -> list[Message]:
    """Events of old users and new ones, repeats of old events, and invalid records."""
    return [*generate(300, 90, seed=9), *left.events[-20:], *invalid_records(BAD, ["searches"], "u1", START_MS)]


def events_of(messages: list[Message]) -> list[Message]:
    return [message for message in messages if b'"event_id"' in (message.value or b"")]


def counts(store: Store) -> Counter[str]:
    """How many records ended as what, over all shards."""
    summed: Counter[str] = Counter()
    for state in read_shards(*store).values():
        summed.update(folded=state.counts.folded, duplicates=state.counts.duplicates)
        summed.update(dead=sum(state.counts.dead_letters.values()))
    return summed


def plain_counts(messages: list[Message]) -> Counter[str]:
    """The same, counted in the records."""
    events = events_of(messages)
    ids = {(message.topic, message.key, message.value) for message in events}
    return Counter(folded=len(ids), duplicates=len(events) - len(ids), dead=len(messages) - len(events))


def began_late(database: Warehouse, lost: int) -> int:
    """Make the warehouse be that of a sink of 0.1.0 that came too late for some views; returns its first offset."""
    warehouse.migrate(database, START_MS)
    with writing(database) as connection:
        connection.execute(text("DELETE FROM raw_views WHERE part = 0 AND pos < :lost"), {"lost": lost})
        connection.execute(text("DELETE FROM migrations WHERE name = '005_sink_gaps.sql'"))
        first = connection.execute(text("SELECT MIN(pos) FROM raw_views WHERE part = 0")).scalar_one()
    warehouse.migrate(database, START_MS)
    return int(first)


def differences(store: Store) -> list[object]:
    return [difference for each in find_differences(store).values() for difference in each.differences]


def test_lookups_answer_as_before(left: Left, settings: Settings) -> None:
    """Of every user: a new number may be there as well."""
    named = {name: getattr(settings, name) for name in ("redis_url", "key_prefix", "partitions")}
    with SegmentClient(**named) as client:
        found = {answer.user: answer for answer in client.lookup_many(user for user, *_ in left.made["answers"])}
    for user, segment, name, generation, features, aggregates in left.made["answers"]:
        answer = found[user]
        assert (answer.segment, answer.name, answer.generation) == (segment, name, generation)
        for shown, names, numbers in (
            (answer.features, left.made["features"], features),
            (answer.aggregates, left.made["aggregates"], aggregates),
        ):
            assert {each: shown[each] for each in names if each in shown} == dict(zip(names, numbers, strict=False))


def test_a_worker_goes_on(left: Left, settings: Settings, store: Store) -> None:
    """It takes in what was not yet read, and more, and looks for better segments; each event counts once."""
    assert differences(store) == []
    worker.run(settings, once=True)
    assert profiles(settings) == profiles_of(left.events)
    messages = [*left.messages, *more(left)]
    publish(settings, more(left))
    worker.run(settings, once=True)
    assert profiles(settings) == profiles_of(events_of(messages))
    assert counts(store) == plain_counts(messages)
    assert differences(store) == []


def test_dead_letters_are_read_on(left: Left, settings: Settings) -> None:
    before = len(read_dead_letters(settings))
    assert before == len(left.letters) > 0
    worker.run(settings, once=True, may_refit=False)
    assert len(read_dead_letters(settings)) == plain_counts(left.messages)["dead"] > before


def test_the_sink_goes_on(left: Left, settings: Settings) -> None:
    """The tables are brought up to this version, and each event is loaded once; then stream and batch are equal."""
    with warehouse.connect(settings) as database:
        before = warehouse.raw_rows(database)
        warehouse.migrate(database, START_MS)
        assert warehouse.pending(database) == [] and warehouse.applied(database) == MIGRATIONS
        assert warehouse.raw_rows(database) == before
        publish(settings, more(left))
        sink.run(settings, once=True)
        loaded = Counter(message.topic for message in events_of([*left.messages, *more(left)]))
        assert warehouse.raw_rows(database) == dict(loaded)
    worker.run(settings, once=True)
    assert snapshot.take(settings, START_MS + 1).snapshot_id == 2
    taken, found = reconcile(settings)
    assert found.equal and found.compared == taken.users == len(profiles(settings))


def test_a_sink_that_began_late_may_lack_what_the_stream_has(left: Left, settings: Settings) -> None:
    """It recorded no gap; a repair would take the right numbers for wrong ones."""
    sink.run(settings, once=True)
    worker.run(settings, once=True)
    with warehouse.connect(settings) as database:
        first = began_late(database, 20)
        assert warehouse.recorded_gaps(database) == [("views", 0, 0, first, 0)]
    (only,) = reconcile_and_repair(settings, 0)
    assert only.result.gaps == (("views", 0, 0, first, 0),) and only.result.differing
    assert (only.repaired, only.repaired_counts) == (0, 0)
    assert profiles(settings) == profiles_of(left.events)


@pytest.mark.parametrize("torn", [True, False])
def test_a_commit_that_was_left_half_way_is_recounted(left: Left, settings: Settings, store: Store, torn: bool) -> None:
    """By its mark: the census may be wrong then. A shard without the mark is taken as it is."""
    shard = Keys(settings.key_prefix).shard(0)
    assert store.client.hget(shard, "begun") is None
    if torn:
        store.client.hset(shard, mapping={"census": "{}", "dirty": "1"})
    acquire_shard(*store, 0)
    assert read_shards(*store)[0].dirty is torn
    worker.run(settings, once=True)
    assert differences(store) == []


def test_a_sink_whose_log_still_begins_at_0_has_not_begun_late(left: Left, settings: Settings) -> None:
    """The first records were invalid."""
    with warehouse.connect(settings) as database:
        began_late(database, 1)
        assert len(warehouse.recorded_gaps(database)) == 1
        sink.run(settings, once=True)
        assert warehouse.recorded_gaps(database) == []


def test_an_old_snapshot_is_compared_and_restored(left: Left, settings: Settings, store: Store) -> None:
    """A worker then reads on from it to where it would have been without."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, START_MS)
    taken, found = reconcile(settings, 1)
    assert found.equal and found.compared == taken.users > 0
    restore.write(settings, restore.prepare(settings, 1, replace=True))
    assert differences(store) == []
    assert len(profiles(settings)) == taken.users < len(profiles_of(left.events))
    worker.run(settings, once=True)
    assert profiles(settings) == profiles_of(left.events)
    assert counts(store) == plain_counts(left.messages)
