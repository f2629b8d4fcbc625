"""A kind is added while events arrive: processes are restarted one by one, and no event is lost or counted twice."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from consumers import sink, worker
from consumers.worker.loop import WorkerResult
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter import warehouse
from segmenter.client import SegmentClient
from segmenter.errors import RulesDiffer, UsageError
from segmenter.events import Rules
from segmenter.kinds import DEFAULT, Kind, by_topic, checked
from segmenter.model.profiles import fields
from segmenter.operations import snapshot
from segmenter.operations.integrity.verify import verify
from segmenter.operations.reconcile import reconcile
from segmenter.operations.restore import restore
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.store.meta import decode_rules, encoded_rules, open_store
from segmenter.store.shards import read_shards
from segmenter.topics import ensure_topics
from tests.kinds.plainly import profiles_of
from tests.loop.helpers import age_heartbeats, in_background, remove_keys, rows, working
from tests.threads import Running, Threads

Until = Callable[[Callable[[], object]], None]
CARTS = Kind("add_to_cart", "carts", "carts", "amount")
PLAYS = Kind("play", "plays", "plays", "duration")


def with_kinds(settings: Settings, *added: Kind) -> Settings:
    """The settings of somebody who has added kinds to the default ones."""
    return dataclasses.replace(settings, kinds=checked((*DEFAULT, *added)))


def in_force(settings: Settings) -> list[str]:
    """The names of the kinds that the store's rules have."""
    with closing(connect(settings)) as client:
        return [kind.name for kind in decode_rules(settings, encoded_rules(client, settings) or b"").kinds]


def profiles(settings: Settings) -> dict[bytes, dict[str, int]]:
    """Every user's profile by field, as the store holds it."""
    return {row.user: dict(zip(fields(settings.kinds), row.profile, strict=True)) for row in rows(settings).values()}


def offsets(settings: Settings) -> list[dict[str, int]]:
    """The offsets of each shard."""
    with closing(connect(settings)) as client:
        return [state.offsets or {} for state in read_shards(client, settings).values()]


def tokens(settings: Settings) -> set[str]:
    """The tokens of the shards' owners."""
    with closing(connect(settings)) as client:
        return {state.token for state in read_shards(client, settings).values()}


class Process:
    """A worker or a sink that can be restarted."""

    def __init__(self, run: Callable[[Settings, Callable[[], bool]], object], pool: Threads) -> None:
        self._run, self._pool = run, pool
        self._stop = threading.Event()
        self.running: Running[object] | None = None

    def start(self, settings: Settings) -> None:
        self._stop = threading.Event()
        self.running = self._pool.submit(self._run, settings, self._stop.is_set)

    def end(self) -> None:
        self._stop.set()
        if self.running:
            self.running.result()


def work(settings: Settings, stopping: Callable[[], bool]) -> WorkerResult:
    return worker.run(settings, once=False, may_refit=False, stopping=stopping)


def load(settings: Settings, stopping: Callable[[], bool]) -> object:
    return sink.run(settings, once=False, stopping=stopping)


@contextmanager
def processes(*runs: Callable[[Settings, Callable[[], bool]], object]) -> Iterator[list[Process]]:
    """Processes that end with the block."""
    with Threads() as pool, ExitStack() as at_end:
        made = [Process(run, pool) for run in runs]
        for each in made:
            at_end.callback(each.end)
        yield made


@pytest.mark.timeout(240)
def test_a_kind_is_added_under_load(settings: Settings, until: Until) -> None:
    """Two workers, two sinks; the events of the new kind wait until both workers know it, and then all count."""
    new = with_kinds(settings, CARTS)
    messages = list(generate(12_000, 300, seed=4, kinds=new.kinds))
    plain, carts = [m for m in messages if m.topic != "carts"], [m for m in messages if m.topic == "carts"]
    ensure_topics(new)
    published: list[Message] = []

    def load_of(stopping: Callable[[], bool]) -> None:
        """Old and new events, without a pause, until there are no more."""
        for first in range(0, len(plain), 100):
            part = plain[first : first + 100] + carts[first // 10 : first // 10 + 10]
            publish(new, part)
            published.extend(part)
        publish(new, rest := carts[len(plain) // 100 * 10 + 10 :])
        published.extend(rest)

    with processes(work, work, load, load) as (one, other, sink_one, sink_other):
        one.start(settings)
        until(lambda: len(offsets(settings)) == 2)
        alone = tokens(settings)
        for each in (other, sink_one, sink_other):
            each.start(settings)
        until(lambda: len(tokens(settings) & alone) == 1)
        with in_background(load_of) as loading:
            for each in (sink_one, sink_other, one):
                each.end()
                each.start(new)
            until(lambda: published and len(rows(settings)) > 50)
            assert in_force(settings) == ["click", "search", "view"]
            assert all("carts" not in each for each in offsets(settings))
            other.end()
            other.start(new)
            until(lambda: in_force(settings) == ["click", "search", "view", "add_to_cart"])
            loading.result()
        expected = profiles_of(published, new.kinds)
        until(lambda: profiles(new) == expected)
    assert len(published) == len(messages)
    sink.run(new, once=True)
    snapshot.take(new, 1)
    _, result = reconcile(new)
    assert (result.compared, result.equal) == (len(expected), True)
    assert verify(new).differences == []


def test_who_does_not_know_the_new_kind_is_refused(settings: Settings) -> None:
    """Whatever it wants to do; and so is one that measures it otherwise."""
    new = with_kinds(settings, CARTS)
    publish(settings, generate(300, 20, seed=1))
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    age_heartbeats(settings)
    worker.run(new, once=True)
    sink.run(new, once=True)
    assert in_force(settings) == ["click", "search", "view", "add_to_cart"]
    other = with_kinds(settings, Kind("add_to_cart", "carts", "carts", "none"))
    says = "the kind add_to_cart is plural carts, topic carts, measure amount there"
    for wrong in (settings, other):
        for use in (
            lambda: worker.run(wrong, once=True),  # noqa: B023 - used at once
            lambda: sink.run(wrong, once=True),  # noqa: B023
            lambda: snapshot.take(wrong, 1),  # noqa: B023
            lambda: verify(wrong),  # noqa: B023
        ):
            with pytest.raises(RulesDiffer, match=f"{says}.*Kinds may be added, not taken away or changed"):
                use()


def test_a_worker_that_does_not_know_it_ends_when_it_is_added(settings: Settings, until: Until) -> None:
    """As when the rules change under it: it must not go on with a part of the topics."""
    new = with_kinds(settings, CARTS)
    publish(settings, generate(300, 20, seed=1))
    with (
        pytest.raises(RulesDiffer, match="the kind add_to_cart"),
        in_background(lambda stopping: work(settings, stopping)) as old,
    ):
        until(lambda: len(rows(settings)) == 20)
        age_heartbeats(settings)  # as if it were dead: nobody waits for it
        with in_background(lambda stopping: work(new, stopping)):
            until(lambda: age_heartbeats(settings) or in_force(settings)[-1] == "add_to_cart")
            until(old.done)
            until(lambda: len(offsets(new)) == 2 and all("carts" in each for each in offsets(new)))
    assert verify(new).differences == []


def test_an_owner_says_again_what_it_knows(settings: Settings, until: Until) -> None:
    """Redis may lose its last second."""
    ensure_topics(settings)
    with working(settings), closing(connect(settings)) as client:

        def said() -> bool:
            states = read_shards(client, settings).values()
            return len(states) == 2 and all(state.known and state.known.token == state.token for state in states)

        until(said)
        for shard in range(settings.partitions):
            client.hdel(Keys(settings.key_prefix).shard(shard), "known")
        until(said)


def test_one_worker_alone_adds_kinds_in_one_run(settings: Settings) -> None:
    """Twice: the second time just after the first, which left heartbeats."""
    publish(settings, generate(300, 20, seed=1))
    worker.run(settings, once=True)
    one, both = with_kinds(settings, CARTS), with_kinds(settings, CARTS, PLAYS)
    sent = list(generate(900, 20, seed=2, kinds=both.kinds))
    publish(both, sent)
    worker.run(one, once=True)
    worker.run(both, once=True)
    assert profiles(both) == profiles_of([*generate(300, 20, seed=1), *sent], both.kinds)


OF_A_KIND = ("006_kind.sql", "010_user_summary_kind.sql", "011_views_kind.sql")


def test_rows_and_snapshots_from_before_read_as_zero(settings: Settings) -> None:
    """By whoever knows the kind, whether or not it is in force yet; a snapshot can be restored with it."""
    new = with_kinds(settings, CARTS)
    before = list(generate(600, 40, seed=1))
    publish(settings, before)
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, 1)
    assert profiles(new) == profiles_of(before, new.kinds)
    lacking = r"lacks 006_kind.sql add_to_cart \(carts, amount\), .*: run `segmenter migrate`"
    with pytest.raises(UsageError, match=lacking):
        reconcile(new)
    with warehouse.connect(new) as database:
        done = warehouse.migrate(database, now_ms=3)
    assert done == [f"{file} add_to_cart (carts, amount)" for file in OF_A_KIND]
    _, result = reconcile(new)
    assert (result.compared, result.equal) == (40, True)
    with open_store(new) as store:
        assert store.settings.kinds == settings.kinds
    age_heartbeats(settings)
    publish(new, generate(400, 40, seed=2, kinds=new.kinds))
    sink.run(new, once=True)
    remove_keys(settings)
    restore(new)
    worker.run(new, once=True)
    expected = profiles_of([*before, *generate(400, 40, seed=2, kinds=new.kinds)], new.kinds)
    assert profiles(new) == expected
    snapshot.take(new, 2)
    _, result = reconcile(new)
    assert (result.compared, result.equal) == (40, True)


def test_a_client_sees_the_new_kind_without_a_restart(settings: Settings) -> None:
    new = with_kinds(settings, CARTS)
    publish(settings, generate(300, 20, seed=1))
    worker.run(settings, once=True)
    given = {name: getattr(settings, name) for name in ("kafka", "key_prefix", "topic_prefix", "group", "partitions")}
    with SegmentClient(settings.redis_url, **given) as client:
        assert "carts" not in client.lookup("u1").aggregates
        publish(new, generate(300, 20, seed=2, kinds=new.kinds))
        age_heartbeats(settings)
        worker.run(new, once=True)
        answer = client.lookup("u1")
    assert answer.aggregates == profiles(new)[b"u1"] and not answer.stale
    assert {"total_carts", "total_cart_amount", "mean_cart_amount"} <= answer.features.keys()


def test_the_currency_is_a_rule_once_there_are_amounts(settings: Settings) -> None:
    """Before, nobody has used it."""
    with closing(connect(settings)) as client:
        publish(settings, generate(30, 5, seed=1))
        worker.run(settings, once=True)
        age_heartbeats(settings)
        pounds = dataclasses.replace(with_kinds(settings, CARTS), currency="GBP")
        worker.run(pounds, once=True)
        assert decode_rules(settings, encoded_rules(client, settings) or b"").currency == "GBP"
        with pytest.raises(RulesDiffer, match="currency is GBP there and EUR here"):
            worker.run(with_kinds(settings, CARTS), once=True)
    assert Rules.of(settings).currency == ""
    assert set(by_topic(pounds.kinds)) == {"clickstream", "searches", "views", "carts"}
