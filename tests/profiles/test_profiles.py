"""Profiles of segments against plain pandas and scipy over the same events, on each warehouse."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from scipy import stats

from segmenter import warehouse
from segmenter.analysis.profiles.profile import Profile
from segmenter.kinds import catalogue
from segmenter.operations.segments.profiles import profile, profiles
from segmenter.settings import Settings
from segmenter.warehouse import Attribute, Warehouse
from tests.profiles.world import KINDS, PARTITIONS, SLUGS, World, load, set_attributes, take, world

LOW, MIDDLE, HIGH = SLUGS
SIDES: list[tuple[str, str | None]] = [(HIGH, None), (LOW, None), (MIDDLE, HIGH)]


@pytest.fixture
def site(database: Warehouse) -> World:
    """The world in the warehouse."""
    of = world()
    load(database, of)
    return of


def only(settings: Settings, slug: str, against: str | None = None, run_id: int | None = None) -> Profile:
    (found,) = profile(settings, slug, against, run_id).profiles
    return found


def sides(labels: pd.Series, slug: str, against: str | None) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Which labels are inside, outside, and in the base of a lift."""
    if against is None:
        return labels.eq(slug), labels.ne(slug), labels.notna()
    return labels.eq(slug), labels.eq(against), labels.eq(against)


@pytest.mark.parametrize(("slug", "against"), SIDES)
def test_sizes_and_features_are_those_of_pandas(
    settings: Settings, site: World, slug: str, against: str | None
) -> None:
    found = only(settings, slug, against)
    users = site.users.set_index("user_id")
    inside, outside, _ = sides(users["segment"], slug, against)
    assert (found.users, found.others) == (inside.sum(), outside.sum())
    assert found.share == pytest.approx(inside.mean())
    events = site.unrepeated()
    features = pd.DataFrame(index=users.index)
    for kind in KINDS:
        own = events[events["topic"] == kind.topic]
        measure = own["duration_ms" if kind.measure == "duration" else "amount"].astype(float).groupby(own["user_id"])
        features[f"total_{kind.plural}"] = own.groupby("user_id").size()
        if kind.measure == "amount":
            features[f"total_{kind.fields[2]}"] = measure.sum()
        if kind.measure != "none":
            features[f"mean_{kind.fields[2]}"] = measure.mean()
    totals = [name for name in features if name.startswith("total")]
    features[totals] = features[totals].fillna(0)
    assert [each.name for each in found.features] == [each.name for each in catalogue(KINDS)]
    for each in found.features:
        column = features[each.name]
        for spread, mask in ((each.inside, inside), (each.outside, outside)):
            own = column[mask]
            assert (spread.users, spread.missing) == (own.count(), own.isna().sum())
            wanted = (own.mean(), own.median(), own.std(), own.quantile(0.25), own.quantile(0.75))
            assert (
                spread.mean, spread.median, spread.deviation, spread.lower_quartile, spread.upper_quartile
            ) == pytest.approx(wanted)  # fmt: skip
        log = column.map(lambda value: math.copysign(math.log1p(abs(value)), value))
        a, b = log[inside].dropna(), log[outside].dropna()
        t = stats.ttest_ind(a, b, equal_var=True).statistic
        assert each.difference == pytest.approx(t * math.sqrt(1 / len(a) + 1 / len(b)), rel=1e-6)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]
)
def test_hours_and_days_are_those_of_the_clocks_of_the_zone(settings: Settings, site: World, zone: str) -> None:
    """Also where clocks stand at half hours, or are put on by half an hour."""
    found = only(replace(settings, timezone=zone), HIGH, MIDDLE).times
    assert found.timezone == zone
    events = site.counted()
    for times, slug in ((found.inside, HIGH), (found.outside, MIDDLE)):
        own = events.loc[events["segment"] == slug, "time_ms"]
        moments = [datetime.fromtimestamp(ms / 1_000, UTC).astimezone(ZoneInfo(zone)) for ms in own]
        hours, days = Counter(each.hour for each in moments), Counter(each.weekday() for each in moments)
        assert times.events == len(own) > 300
        assert times.hours == [hours[hour] for hour in range(24)]
        assert times.weekdays == [days[day] for day in range(7)]


def expected_lifts(values: pd.DataFrame, users: pd.DataFrame, slug: str, against: str | None) -> dict[str, Any]:
    """By value: users, users of the base and lift, of one row a user and value."""
    inside, _, base = sides(users["segment"], slug, against)
    of_value = pd.crosstab(values["value"], values["segment"]).reindex(columns=list(SLUGS), fill_value=0)
    size, of = int(inside.sum()), int(base.sum())
    found = {}
    for value, row in of_value.iterrows():
        having, having_too = row[slug], row.sum() if against is None else row[against]
        if having >= 5 and having >= 0.01 * size:
            lift = (having / size) / (having_too / of) if having_too else None
            found[value] = (having, having_too, None if lift is None else pytest.approx(lift))
    return found


@pytest.mark.parametrize(("slug", "against"), SIDES)
def test_values_are_counted_by_users_and_ranked_by_lift(
    settings: Settings, site: World, slug: str, against: str | None
) -> None:
    found = only(settings, slug, against)
    events = site.counted()
    events["country"] = events["properties"].map(lambda each: None if each is None else json.loads(each).get("country"))
    fields = {"device": "device", "page": "url", "item": "item_id", "query": "query", "property country": "country"}
    assert list(found.values) == list(fields)
    for what, column in fields.items():
        having = events[["user_id", "segment", column]].dropna().drop_duplicates().rename(columns={column: "value"})
        wanted = expected_lifts(having, site.users, slug, against)
        lifts = {each.value: (each.users, each.base_users, each.lift) for each in found.values[what]}
        assert lifts == {value: wanted[value] for value in lifts}
        assert len(lifts) == len(found.values[what]) == min(10, len(wanted))
        ranks = [math.inf if each.lift is None else each.lift for each in found.values[what]]
        assert ranks == sorted(ranks, reverse=True)
        left_out = [math.inf if lift is None else lift for value, (*_, lift) in wanted.items() if value not in lifts]
        assert all(getattr(lift, "expected", lift) <= ranks[-1] * (1 + 1e-9) for lift in left_out)
    size, base = found.users, found.others if against else len(site.users)
    for each in found.values["device"]:
        assert (each.share, each.base_share) == pytest.approx((each.users / size, each.base_users / base))
    assert {"mobile", "Mobile", "desktop", "desktop "} == {each.value for each in found.values["device"]}


def test_amounts_do_not_count_repeats_and_keep_refunds_apart(settings: Settings, site: World) -> None:
    (found,) = only(settings, HIGH).amounts
    assert found.kind == "purchase"
    events = site.unrepeated()
    repeats = len(site.counted()) - len(events)
    assert repeats > 20
    own = events[(events["topic"] == "purchases") & events["amount"].notna()]
    labels = own["segment"]
    sizes = [(site.users["segment"] == HIGH).sum(), (site.users["segment"] != HIGH).sum()]
    for side, mask, size in ((found.inside, labels == HIGH, sizes[0]), (found.outside, labels != HIGH, sizes[1])):
        amounts = own.loc[mask, "amount"].astype("int64")
        paid, refunds = amounts[amounts >= 0], amounts[amounts < 0]
        buyers = own.loc[paid.index, "user_id"].nunique()
        assert (side.buyers, side.payments, side.paid) == (buyers, len(paid), paid.sum())
        assert (side.refunds, side.refunded) == (len(refunds), -refunds.sum())
        assert (side.paid_per_user, side.paid_per_buyer, side.paid_per_payment) == pytest.approx(
            (paid.sum() / size, paid.sum() / buyers, paid.mean())
        )
        assert side.refunds > 5


def holm(p_values: dict[Any, float]) -> dict[Any, float]:
    """By the words of the paper: the m - j + 1 fold of the j-th smallest, and never below that of a smaller one."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected, largest = {}, 0.0
    for j, (name, p) in enumerate(ordered, 1):
        largest = max(largest, (len(ordered) - j + 1) * p)
        corrected[name] = min(1.0, largest)
    return corrected


def mann_whitney(a: pd.Series, b: pd.Series) -> float:
    """The p-value by the normal approximation, corrected for ties and continuity."""
    ranks = stats.rankdata([*a, *b])
    n, m = len(a), len(b)
    u = ranks[:n].sum() - n * (n + 1) / 2
    ties = sum(count**3 - count for count in Counter([*a, *b]).values())
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    return float(2 * stats.norm.sf((abs(u - n * m / 2) - 0.5) / math.sqrt(variance)))


ATTRIBUTES = (
    Attribute("age", "category"),
    Attribute("income", "number"),
    Attribute("joined", "date"),
    Attribute("likes", "category", "|"),
    Attribute("planet", "category"),
)


def known_of(site: World) -> pd.DataFrame:
    """One row a user, with attributes that depend on the segment, or do not; in part missing."""
    users = site.users[["user_id", "segment"]].copy()
    rank = users["segment"].map(SLUGS.index)
    number = pd.Series(range(len(users)))
    users["age"] = (number * 7 % 5 + rank).map(lambda each: f"age {min(each, 4)}")
    users["income"] = (number * 37 % 101) + 40.0 * rank
    users["joined"] = (number * 13 % 28 + 1).map(lambda day: f"2024-02-{day:02}")
    users["likes"] = [f"a|{'b| b' if each % 2 else 'c'}|" for each in number + rank // 2]
    users["planet"] = "Earth"
    users.loc[number % 4 == 1, ["age", "income"]] = None
    users.loc[number % 3 == 1, ["joined"]] = None
    return users


@pytest.mark.parametrize(("slug", "against"), SIDES)
def test_attributes_are_tested_and_corrected_together(
    settings: Settings, database: Warehouse, site: World, slug: str, against: str | None
) -> None:
    users = known_of(site)
    given = {each: users.dropna(subset=[each.name]).set_index("user_id")[each.name].to_dict() for each in ATTRIBUTES}
    set_attributes(database, given)
    set_attributes(database, {Attribute("age", "category"): {b"nobody": "age 1"}})
    found = {each.name: each for each in only(settings, slug, against).attributes}
    assert list(found) == [each.name for each in ATTRIBUTES]
    inside, outside, _ = sides(users["segment"], slug, against)
    p_values: dict[tuple[str, str | None], float] = {}
    for name, profile_of in found.items():
        one, other = users.loc[inside, name], users.loc[outside, name]
        assert (profile_of.known, profile_of.unknown) == (one.count(), one.isna().sum())
        assert (profile_of.known_outside, profile_of.unknown_outside) == (other.count(), other.isna().sum())
        one, other = one.dropna(), other.dropna()
        if profile_of.type == "date":
            days = [sorted(side)[(len(side) - 1) // 2] for side in (one, other)]
            assert [profile_of.median_day, profile_of.median_day_outside] == days
        elif profile_of.type == "number":
            (test,) = profile_of.findings
            assert (test.inside, test.outside) == (one.median(), other.median())
            assert (test.inside_mean, test.outside_mean) == pytest.approx((one.mean(), other.mean()))
            p_values[name, None] = mann_whitney(one, other)
        else:
            lists = users.dropna(subset=[name]).assign(
                value=lambda table, name=name: table[name].map(
                    lambda text: {x.strip() for x in text.split("|")} - {""}
                ),
                side=inside.map({True: 0, False: 1}).where(inside | outside),
            )
            for value in sorted(set().union(*lists.loc[lists["side"].notna(), "value"])):
                having = lists["value"].map(lambda values, value=value: value in values)
                table = pd.crosstab(having, lists["side"]).reindex(index=[True, False], fill_value=0)
                if table.loc[True].sum() >= 5:
                    p_values[name, value] = stats.fisher_exact(table).pvalue
                    (test,) = [each for each in profile_of.findings if each.value == value]
                    assert (test.inside_users, test.outside_users) == (table.loc[True, 0], table.loc[True, 1])
                    shares = table.loc[True] / table.sum()
                    assert (test.inside, test.outside) == pytest.approx((shares[0], shares[1]))
    corrected = holm(p_values)
    tests = {(name, test.value): test for name, each in found.items() for test in each.findings}
    assert {which: test.p for which, test in tests.items()} == pytest.approx(p_values)
    assert {which: test.corrected_p for which, test in tests.items()} == pytest.approx(corrected)
    assert {which for which, test in tests.items() if test.significant} == {w for w, p in corrected.items() if p < 0.05}
    assert tests["planet", "Earth"].p == 1.0 and not tests["planet", "Earth"].significant
    assert ("income", None) in {which for which, test in tests.items() if test.significant}


def test_all_segments_are_profiled_by_rank_each_as_alone(settings: Settings, site: World) -> None:
    found = profiles(settings)
    assert (found.snapshot_id, found.run_id, found.users, found.events_missing) == (1, None, len(site.users), 0)
    assert [each.slug for each in found.profiles] == list(SLUGS)
    assert found.profiles[1] == only(settings, MIDDLE)


def test_clusters_of_a_run_have_profiles_as_segments_have(settings: Settings, database: Warehouse, site: World) -> None:
    """The same users under other names, with what is noise; also when there are newer snapshots."""
    names = {LOW: "cluster 1", MIDDLE: "noise", HIGH: "cluster 10"}
    run = warehouse.ClusterRun(1, "kmeans", "{}", 2, len(site.users), 1, None, None, None, None, 5)
    members = [(row["user_id"], names[row["segment"]]) for row in site.users.to_dict("records")]
    number = warehouse.write_clusters(database, run, members)
    live = only(settings, HIGH)
    take(database, World(site.users.iloc[:5], site.events), None)
    found = profiles(settings, number)
    assert (found.snapshot_id, found.run_id) == (1, 1)
    assert [each.slug for each in found.profiles] == ["cluster 1", "cluster 10", "noise"]
    of_run = found.profiles[1]
    for name in ("users", "others", "features", "times", "values", "amounts", "sentences"):
        assert getattr(of_run, name) == getattr(live, name), name


def test_events_that_the_sink_has_yet_to_load_are_told(settings: Settings, database: Warehouse) -> None:
    of = world(events=300)
    load(database, of)
    ends = of.events.groupby(["topic", "part"])["pos"].max() + 1
    cuts = {
        (kind.topic, p): warehouse.Cut("t1", int(ends.get((kind.topic, p), 0)))
        for kind in KINDS
        for p in range(PARTITIONS)
    }
    cuts["views", 0] = warehouse.Cut("t1", cuts["views", 0].next_pos + 7)
    warehouse.write_snapshot(database, 2_000, cuts, [], 0, None, {})
    assert profiles(settings).events_missing == 7
