"""Profiles where there is little or nothing to say."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.analysis.profiles.profile import Profile
from segmenter.errors import NothingYet, UsageError
from segmenter.kinds import DEFAULT
from segmenter.operations.segments.profiles import profile, profiles, set_action
from segmenter.settings import Settings
from segmenter.warehouse import Attribute, Warehouse
from segmenter.warehouse import profiles as counts
from segmenter.warehouse.engine import writing
from segmenter.warehouse.profiles.groups import MOST_VALUES
from tests.profiles.world import KINDS, SLUGS, World, load, set_attributes, world

LOW, MIDDLE, HIGH = SLUGS


def small(*of: tuple[bytes, str], **fields: object) -> World:
    """These users, with one event of each that has ``fields``."""
    cuts = {f"cut_{kind.topic}": 10**6 for kind in KINDS}
    users = pd.DataFrame([{"user_id": user, "segment": slug, **cuts} for user, slug in of])
    empty = dict.fromkeys(("event_id", "device", "url", "item_id", "query", "properties", "duration_ms", "amount"))
    events = [
        {**empty, "topic": "clickstream", "user_id": user, "part": 0, "pos": at, "time_ms": 5} | fields
        for at, (user, _) in enumerate(of)
    ]
    return World(users, pd.DataFrame(events).astype(object))


def only(settings: Settings, slug: str, against: str | None = None) -> Profile:
    (found,) = profile(settings, slug, against).profiles
    return found


def test_a_segment_of_one_user_has_no_spread_and_no_values(settings: Settings, database: Warehouse) -> None:
    """Five users are the least of whom a value is told."""
    load(database, small((b"a", HIGH), *[(b"b%d" % each, LOW) for each in range(5)], url="/x", duration_ms=1_000))
    one, others = only(settings, HIGH), only(settings, LOW)
    clicks, *_, lasted = [each for each in one.features if "click" in each.name]
    assert (one.users, clicks.inside.mean, clicks.inside.deviation) == (1, 1.0, None)
    assert (lasted.inside.median, lasted.outside.deviation, lasted.difference) == (1_000.0, 0.0, None)
    assert (one.values["page"], one.sentences[:-1]) == ([], [])
    assert [(each.value, each.users, each.base_users, each.lift) for each in others.values["page"]] == [
        ("/x", 5, 6, 1.0)
    ]


def test_of_nobody_and_of_nothing_there_is_a_profile(settings: Settings, database: Warehouse) -> None:
    """A segment without users, and users whose events the sink has not loaded."""
    of = small((b"a", HIGH), (b"b", HIGH))
    load(database, World(of.users, of.events.iloc[:0]))
    nobody, idle = only(settings, LOW), only(settings, HIGH)
    assert (nobody.users, nobody.share, nobody.others) == (0, 0.0, 2)
    assert {each.inside.mean for each in nobody.features} == {None}
    assert (idle.times.inside.events, idle.sentences, idle.attributes) == (0, [], [])
    assert sum(idle.times.inside.hours) == sum(idle.times.inside.weekdays) == 0
    (amounts,) = idle.amounts
    assert (amounts.inside.buyers, amounts.inside.paid_per_user, amounts.inside.paid_per_payment) == (0, 0.0, None)
    missing = [each for each in idle.features if each.name.startswith("mean")]
    assert {(each.inside.users, each.inside.missing, each.difference) for each in missing} == {(0, 2, None)}


def test_before_the_first_model_all_are_unassigned(settings: Settings, database: Warehouse) -> None:
    load(database, small((b"a", "unassigned"), (b"b", "unassigned")), model=None)
    (found,) = profiles(settings).profiles
    assert (found.slug, found.name, found.users, found.others) == ("unassigned", "Unassigned", 2, 0)
    assert found.action == "None: these users are in no segment."
    assert {each.difference for each in found.features} == {None}


def test_attributes_that_nobody_else_has_are_not_tested(settings: Settings, database: Warehouse) -> None:
    load(database, small(*[(b"a%d" % each, HIGH) for each in range(6)], (b"b", LOW)))
    for_all = {b"a%d" % each: "x" for each in range(6)}
    dates = {b"a0": "2024-02-29"}
    same = dict.fromkeys((b"a0", b"a1", b"b"), 3.5)
    attributes = {Attribute("club", "category"): for_all, Attribute("joined", "date"): dates}
    set_attributes(database, {**attributes, Attribute("size", "number"): same})
    club, joined, size = only(settings, HIGH).attributes
    assert (club.known, club.unknown, club.known_outside, club.unknown_outside, club.findings) == (6, 0, 0, 1, [])
    assert (joined.median_day, joined.median_day_outside) == ("2024-02-29", None)
    assert [(test.p, test.inside, test.outside) for test in size.findings] == [(1.0, 3.5, 3.5)]


def test_values_are_few_of_many(settings: Settings, database: Warehouse) -> None:
    """Of each field, so many of the most common values are read into memory, and the least common ones are not."""
    of = small(*[(b"u%04d" % each, HIGH) for each in range(MOST_VALUES + 50)])
    of.events["url"] = [f"/{each}" for each in range(len(of.events))]
    common = of.events.assign(url="/all", pos=of.events["pos"] + len(of.events))
    load(database, World(of.users, pd.concat([of.events, common], ignore_index=True)))
    groups = counts.groups_of(database, None)
    read = counts.read_values(database, groups, "url")
    assert len(read) == MOST_VALUES
    assert read.loc[read["users"] > 1, ["value", "users"]].values.tolist() == [["/all", MOST_VALUES + 50]]


def test_a_long_value_is_cut_and_stays_itself(settings: Settings, database: Warehouse) -> None:
    """Two that differ after 512 characters are two values, also with blanks at the end."""
    load(database, small(*[(b"u%d" % each, HIGH) for each in range(10)]))
    long = "x" * 600
    with writing(database) as connection:
        query = text("UPDATE raw_clickstream SET url = :url WHERE pos % 2 = :odd")
        for odd, url in ((0, long), (1, f"{long} ")):
            connection.execute(query, {"odd": odd, "url": url})
    found = only(settings, HIGH).values["page"]
    assert [(each.value, each.users) for each in found] == [("x" * 512, 5), ("x" * 512, 5)]


def test_a_slug_that_is_not_there_is_an_error_that_names_those_there_are(
    settings: Settings, database: Warehouse
) -> None:
    with pytest.raises(NothingYet, match="holds no snapshot yet: run `segmenter snapshot`"):
        profile(settings, HIGH)
    load(database, small((b"a", HIGH), (b"b", "unassigned")))
    listed = "there are low_engagement, moderate_engagement, highly_engaged, unassigned."
    for slug, against in (("fans", None), (HIGH, "fans")):
        with pytest.raises(UsageError, match=f"there is no segment 'fans'; {listed}"):
            profile(settings, slug, against)
    with pytest.raises(UsageError, match="highly_engaged cannot be compared with itself"):
        profile(settings, HIGH, HIGH)
    with pytest.raises(UsageError, match="holds no run of `segmenter cluster` yet"):
        profile(settings, HIGH, run_id=1)
    run = warehouse.ClusterRun(1, "kmeans", "{}", 1, 1, 0, None, None, None, None, 5)
    assert warehouse.write_clusters(database, run, [(b"a", "cluster 1")]) == 1
    with pytest.raises(UsageError, match="there is no cluster in run 1 'highly_engaged'; there are cluster 1"):
        profile(settings, HIGH, run_id=1)
    with pytest.raises(UsageError, match="holds no run 2; there are 1"):
        profile(settings, HIGH, run_id=2)
    warehouse.write_snapshot(database, 2_000, {}, [], 0, None, {})
    assert warehouse.remove_snapshots(database, 1) == [1]
    with pytest.raises(UsageError, match="snapshot 1, whose users run 1 has clustered, has been removed"):
        profile(settings, HIGH, run_id=1)


def test_an_action_that_people_set_replaces_the_default(settings: Settings, database: Warehouse) -> None:
    load(database, world())
    defaults = {each.slug: each.action for each in profiles(settings).profiles}
    assert [action.partition(":")[0] for action in defaults.values()] == [
        "Bring them back",
        "Help them on",
        "Keep them",
    ]
    assert only(settings, MIDDLE, HIGH).action == defaults[MIDDLE]
    assert set_action(settings, HIGH, " Call them\n soon: 100% ") == "Call them soon: 100%"
    assert set_action(settings, HIGH, "Call them, :today") == "Call them, :today"
    found = {each.slug: (each.action, each.action_is_default) for each in profiles(settings).profiles}
    assert found == {slug: (action, True) for slug, action in defaults.items()} | {HIGH: ("Call them, :today", False)}
    assert set_action(settings, HIGH, "  ") is None
    assert only(settings, HIGH).action == defaults[HIGH]
    with pytest.raises(UsageError, match="there is no segment 'fans'; there are low_engagement, moderate"):
        set_action(settings, "fans", "x")
    with pytest.raises(UsageError, match="the action has 2,001 characters; allowed are 2,000"):
        set_action(settings, HIGH, "x" * 2_001)


def test_an_action_may_be_set_before_the_first_snapshot(settings: Settings, database: Warehouse) -> None:
    assert set_action(replace(settings, kinds=DEFAULT), LOW, "Wait") == "Wait"
