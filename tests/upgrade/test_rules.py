"""Rules and layout of another version: what lacks a rule is completed, what is of a newer version is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import text

from consumers import sink, worker
from segmenter import warehouse
from segmenter.client import SegmentClient
from segmenter.errors import Corrupt, NewerVersion, RulesDiffer, UsageError
from segmenter.events import Rules
from segmenter.kinds import BUILT_IN
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.store.connection import Store
from segmenter.store.keys import Keys
from segmenter.store.meta import LAYOUT, require_rules
from segmenter.warehouse.engine import writing

Stored = dict[str, Any]


class Place(NamedTuple):
    """Where rules are stored, who writes there and who only reads there."""

    stored: Callable[[], Stored]
    store: Callable[[Stored], object]
    write: Callable[[Settings], object]
    read: Callable[[Settings], object]


@pytest.fixture(params=["redis", "warehouse"])
def place(request: pytest.FixtureRequest, settings: Settings, store: Store) -> Place:
    meta = Keys(settings.key_prefix).meta()
    if request.param == "redis":
        return Place(
            lambda: json.loads(store.client.hget(meta, "rules") or b""),
            lambda rules: store.client.hset(meta, "rules", json.dumps(rules)),
            lambda changed: worker.run(changed, once=True, may_refit=False),
            lambda changed: require_rules(store.client, changed, Rules.of(changed)),
        )
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 0)  # who only reads would ask for that first
    return Place(
        lambda: rules_in_warehouse(settings),
        lambda rules: rules_in_warehouse(settings, rules),
        lambda changed: sink.run(changed, once=True),
        lambda changed: reconcile(changed, 1),
    )


def rules_in_warehouse(settings: Settings, put: Stored | None = None) -> Stored:
    """The stored rules, after they have been replaced if others are given."""
    with warehouse.connect(settings) as database, writing(database) as connection:
        if put is not None:
            replace = text("UPDATE meta SET value = :rules WHERE name = 'rules'")
            connection.execute(replace, {"rules": json.dumps(put)})
        return json.loads(connection.execute(text("SELECT value FROM meta WHERE name = 'rules'")).scalar_one())


def as_stored(rules: Rules) -> Stored:
    stored: Stored = msgspec.json.decode(msgspec.json.encode(rules))
    return stored


def without(rules: Stored, *names: str) -> Stored:
    return {name: value for name, value in rules.items() if name not in names}


def test_a_rule_that_came_later_means_its_default(place: Place, settings: Settings) -> None:
    """By which the earlier version judged. A writer adds it to what is stored; a reader leaves that as it is."""
    ours = as_stored(Rules.of(settings))
    older = without(ours, "isolation", "max_ahead_ms", "kinds", "currency")
    place.store(older)
    place.read(settings)
    assert place.stored() == older
    place.write(settings)
    assert place.stored() == ours


def test_a_rule_that_came_later_and_is_set_is_refused(place: Place, settings: Settings) -> None:
    older = without(as_stored(Rules.of(settings)), "max_ahead_ms")
    place.store(older)
    strict = dataclasses.replace(settings, max_ahead_ms=7)
    for use in (place.read, place.write):
        with pytest.raises(RulesDiffer, match=r"differ: max_ahead_ms is 86400000 there and 7 here. Use the same"):
            use(strict)
    assert place.stored() == older


def test_who_is_refused_changes_no_table(settings: Settings) -> None:
    """Else a sink that lacks a kind would take its first events for lost, and one with another plural add columns."""
    fewer = dataclasses.replace(settings, kinds=settings.kinds[:2])
    with warehouse.connect(settings) as database:
        pending = warehouse.pending(database)
        assert pending
        with pytest.raises(RulesDiffer, match="the kind view"):
            sink.run(fewer, once=True)
        assert warehouse.pending(database) == pending
        with pytest.raises(RulesDiffer, match="the kind view"):
            snapshot.take(fewer, 1)
        assert warehouse.recorded_gaps(database) == []


def test_a_rule_of_a_newer_version_is_refused(place: Place, settings: Settings) -> None:
    newer = as_stored(Rules.of(settings)) | {"bots": "dropped"}
    place.store(newer)
    for use in (place.read, place.write):
        with pytest.raises(NewerVersion, match=r"is of a newer version: it has rules .* not know \(bots\)\. Use that"):
            use(settings)
    assert place.stored() == newer


OTHER: dict[str, Callable[[Any], Any]] = {
    "isolation": lambda _: "read_uncommitted",
    "kinds": lambda kinds: [*kinds, msgspec.to_builtins(BUILT_IN["purchase"])],
}
"""Another value of each rule that is no number; the currency has a test of its own."""


@pytest.mark.parametrize("name", [name for name in Rules.__struct_fields__ if name != "currency"])
def test_whichever_rule_is_another_it_is_refused_and_the_stored_ones_stay(
    name: str, place: Place, settings: Settings
) -> None:
    """What is there was judged by the stored ones: nobody replaces them, and nobody goes on by others."""
    ours = as_stored(Rules.of(settings))
    stored = ours | {name: OTHER.get(name, lambda number: number + 1)(ours[name])}
    says = f"{name} is {stored[name]} there and {ours[name]} here"
    if name == "kinds":
        says = "the kind purchase is plural purchases, topic purchases, measure amount there and missing here"
    refused_and_kept(place, settings, stored, says)


def test_a_kind_that_measures_something_else_is_refused(place: Place, settings: Settings) -> None:
    ours = as_stored(Rules.of(settings))
    stored = ours | {"kinds": [kind | {"measure": "none"} for kind in ours["kinds"]]}
    says = "; ".join(
        f"the kind {name} is plural {plural}, topic {topic}, measure none there and"
        f" plural {plural}, topic {topic}, measure duration here"
        for name, plural, topic in (("click", "clicks", "clickstream"), ("view", "views", "views"))
    )
    refused_and_kept(place, settings, stored, says)


def test_another_currency_is_refused(place: Place, settings: Settings) -> None:
    """Amounts of two currencies cannot be summed up."""
    selling = dataclasses.replace(settings, kinds=(*settings.kinds, BUILT_IN["purchase"]))
    with warehouse.connect(selling) as database:
        warehouse.migrate(database, 0)
    stored = as_stored(Rules.of(dataclasses.replace(selling, currency="USD")))
    refused_and_kept(place, selling, stored, "currency is USD there and EUR here")


def refused_and_kept(place: Place, settings: Settings, stored: Stored, says: str) -> None:
    """Whoever comes with these settings is told how the stored rules differ, and they stay."""
    place.store(stored)
    for use in (place.read, place.write, place.read):
        with pytest.raises(RulesDiffer, match=rf"differ: {re.escape(says)}\. Use the"):
            use(settings)
        assert place.stored() == stored


@pytest.mark.parametrize("layout", [LAYOUT - 1, LAYOUT + 1])
def test_another_layout_is_refused(layout: int, settings: Settings, store: Store) -> None:
    """By all who come, with what to do, and without a password."""
    store.client.hset(Keys(settings.key_prefix).meta(), "layout", layout)
    named = {name: getattr(settings, name) for name in ("redis_url", "key_prefix", "partitions")}
    password = urlsplit(settings.redis_url).password
    with SegmentClient(**named) as client:
        for use in (
            lambda: worker.run(settings, once=True),
            lambda: snapshot.take(settings, 1),
            lambda: client.lookup("u1"),
        ):
            says = rf"holds layout {layout} .* reads layout 1. Use the matching version"
            with pytest.raises(UsageError, match=says) as refused:
                use()
            assert not password or password not in str(refused.value)


def test_rules_that_cannot_be_read_are_named(settings: Settings, store: Store) -> None:
    """In one line, by who looks users up and by who writes."""
    store.client.hset(Keys(settings.key_prefix).meta(), "rules", "{spoilt")
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        for ask in (lambda: client.lookup("u1"), lambda: worker.run(settings, once=True)):
            with pytest.raises(Corrupt, match=r"the rules in Redis under .* cannot be read"):
                ask()
