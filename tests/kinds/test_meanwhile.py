"""A kind comes into force, or features change, while something else goes on: nothing is misread for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from consumers import sink, worker
from consumers.trainer.refit import refit
from consumers.worker.owned_shard import Superseded, fold, sweep
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.errors import Fenced, RulesDiffer
from segmenter.kinds import Kind
from segmenter.operations import snapshot
from segmenter.operations.integrity import digests
from segmenter.operations.integrity.repair import repair_shards
from segmenter.operations.integrity.verify import find_differences, verify
from segmenter.operations.reconcile import reconcile, reconcile_and_repair
from segmenter.operations.restore_from_raw import restore_from_raw
from segmenter.settings import Settings
from segmenter.shards.batches import Batch
from segmenter.store.agreement import add_kinds
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.meta import open_store
from segmenter.store.models import read_model
from segmenter.topics import ensure_topics
from tests.kinds.plainly import profiles_of
from tests.kinds.test_adding import CARTS, PLAYS, in_force, profiles, with_kinds
from tests.loop.helpers import age_heartbeats, rows, working
from tests.loop.population import own

Until = Callable[[Callable[[], object]], None]
BEFORE = list(generate(600, 40, seed=1))


@pytest.fixture
def new(settings: Settings) -> Settings:
    """The settings with carts, of a store that has users without."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    age_heartbeats(settings)
    return with_kinds(settings, CARTS)


def test_rows_with_a_new_kind_are_not_removed_by_a_repair_that_began_before(new: Settings) -> None:
    """It has read that there are three kinds; a row with a fourth is not unreadable, but of later."""
    with open_store(new, writing=True) as store:
        publish(new, generate(400, 40, seed=2, kinds=new.kinds))
        worker.run(new, once=True)
        age_heartbeats(new)
        before = profiles(new)
        for use in (
            lambda: find_differences(store),
            lambda: repair_shards(store, range(new.partitions)),
            lambda: refit(store, 1),
        ):
            with pytest.raises(Fenced, match="kinds of events were added meanwhile: run this again"):
                use()
    assert profiles(new) == before and verify(new).differences == []


def test_digests_that_were_begun_before_are_not_of_a_part(new: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = digests.scan_rows

    def scan_rows(*of: object) -> object:
        publish(new, generate(400, 40, seed=2, kinds=new.kinds))
        worker.run(new, once=True)
        return scan(*of)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(digests, "scan_rows", scan_rows)
        with pytest.raises(Fenced, match="kinds of events were added meanwhile: run this again"):
            digests.digest_store(new)
    assert digests.digest_store(new).users == 40


def test_a_snapshot_that_began_before_is_taken_again(new: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = snapshot.scan_rows
    added: list[bool] = []

    def scan_rows(*of: object) -> object:
        if not added:
            added.append(True)
            publish(new, generate(400, 40, seed=2, kinds=new.kinds))
            worker.run(new, once=True)
        return scan(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "scan_rows", scan_rows)
    sink.run(new, once=True)
    snapshot.take(new, 1)
    sink.run(new, once=True)
    _, result = reconcile(new)
    assert (result.compared, result.equal, added) == (40, True, [True])


def test_regular_snapshots_go_on_until_it_is_in_force(settings: Settings, new: Settings) -> None:
    """The sink knows the kind before the workers do."""
    sink.run(new, once=True)
    snapshot.take(settings, 1)
    worker.run(new, once=True)
    with pytest.raises(RulesDiffer, match="the kind add_to_cart"):
        snapshot.take(settings, 2)


def test_rows_are_repaired_before_it_is_in_force(settings: Settings, new: Settings) -> None:
    """By the new settings, while a worker with the old ones lives."""
    sink.run(new, once=True)
    right = profiles(settings)
    with closing(connect(settings)) as client:
        profile = client.hget(Keys(settings.key_prefix).user(b"u1"), "profile") or b""
        client.hset(Keys(settings.key_prefix).user(b"u1"), "profile", profile.replace(b'"searches":', b'"searches":9'))
    with working(settings):
        passes = list(reconcile_and_repair(new, wait_s=30))
    assert [each.repaired for each in passes][:1] == [1] and in_force(settings) == ["click", "search", "view"]
    assert profiles(settings) == right


def test_raw_events_are_restored_although_the_snapshot_knows_more_topics(settings: Settings, new: Settings) -> None:
    sink.run(settings, once=True)
    ensure_topics(new)
    worker.run(new, once=True)
    snapshot.take(new, 1)
    age_heartbeats(new)
    restore_from_raw(new, replace=True)
    assert profiles(new) == profiles_of(BEFORE, new.kinds)


def test_of_two_who_add_kinds_at_once_one_is_refused(settings: Settings, new: Settings) -> None:
    """Else the second would take away what the first has added."""
    with closing(connect(settings)) as client:
        assert add_kinds(client, new).kinds == new.kinds
        with pytest.raises(RulesDiffer, match=r"the kind add_to_cart is .* there and missing here"):
            add_kinds(client, with_kinds(settings, PLAYS))
        both = with_kinds(settings, CARTS, PLAYS)
        assert add_kinds(client, both).kinds == both.kinds


def test_a_measure_that_was_wrong_until_the_first_event(settings: Settings) -> None:
    """The tables were made for a kind that measures nothing; nobody has stored the rules yet."""
    mistaken = with_kinds(settings, Kind("add_to_cart", "carts", "carts", "none"))
    right = with_kinds(settings, CARTS)
    for each in (mistaken, right):
        with warehouse.connect(each) as database:
            warehouse.migrate(database, now_ms=1)
    messages = list(generate(300, 20, seed=2, kinds=right.kinds))
    publish(right, messages)
    worker.run(right, once=True)
    sink.run(right, once=True)
    snapshot.take(right, 1)
    _, result = reconcile(right)
    assert (result.compared, result.equal) == (20, True)


@pytest.mark.parametrize(
    "features", [("total_views",), ("total_views", "total_clicks", "mean_view_ms", "mean_click_ms")]
)
def test_a_worker_with_the_model_of_before_parks_nothing(settings: Settings, features: tuple[str, ...]) -> None:
    """Another worker has judged rows by new features already, as many as the old ones or fewer."""
    publish(settings, BEFORE)
    worker.run(settings, once=True)
    with closing(connect(settings)) as client:
        store = Store(client, settings)
        stale = read_model(*store)
        assert stale is not None and refit(store, 1, features)
        current = read_model(*store)
        assert current is not None
        first = own(store, 0)
        while first.unswept is None or first.unswept:
            sweep(store, first, current)
        later = own(store, 0)
        later.state = later.state._replace(generation=0)
        with pytest.raises(Superseded):
            sweep(store, later, stale)
        users = [row.user for row in rows(settings).values()]
        with pytest.raises(Superseded):
            fold(
                store, later, Batch(dict(later.state.offsets or {}), {user: at for at, user in enumerate(users)}), stale
            )
    assert verify(settings).differences == []
