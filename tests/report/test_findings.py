"""What the charts say of users that fit into a line, also where there is little to say."""

from __future__ import annotations

import pandas as pd
import pytest

from segmenter.kinds import BUILT_IN, DEFAULT
from segmenter.report.chart import NARROW, WIDE
from segmenter.report.charts import algorithms, characteristics, charts_of, distribution, moves, sizes, times
from segmenter.report.charts.cloud import cloud_of, mean_of_others
from segmenter.report.charts.two_features import chart as two_features
from segmenter.report.facts import LIVE, Facts, Rated
from segmenter.report.style import marks_of, styled
from segmenter.warehouse import Period, SegmentMoves, SegmentSize
from tests.report.made import NAMES, NOON_MS, facts, hours

USERS = [("low", 4, 2_000.0), ("low", 6, None), ("low", 10, None), ("high", 60, 70_000.0)]
DAY_MS = 86_400_000


def test_the_most_engaged_segment_with_users_has_its_share_of_users_and_events() -> None:
    found = distribution.chart(facts(USERS))
    assert found.finding == "High: 25% of the users make 75% of the events"
    assert found.table.rows == [
        ("Low", "3", "75%", "20", "25%"), ("Middle", "0", "0%", "0", "0%"), ("High", "1", "25%", "60", "75%"),
    ]  # fmt: skip


def test_amounts_have_their_share_too() -> None:
    kinds = (*DEFAULT, BUILT_IN["purchase"])
    paid = pd.DataFrame({"label": ["low", "high"], "buyers": 1, "payments": 1, "paid": [100, 900], "refunds": 0})
    of = facts(USERS, kinds=kinds, amounts={BUILT_IN["purchase"].name: paid.assign(refunded=0)})
    assert distribution.chart(of).finding.endswith("the events and stand for 90% of the amount of purchases")


@pytest.mark.parametrize(
    ("users", "names", "said"),
    [
        ([("low", 1, None)], {"low": "Low"}, "The only user is in one segment: Low"),
        ([("low", 1, None)] * 3, NAMES, "All 3 users are in one segment: Low"),
        ([("unassigned", 1, None)], {"unassigned": "Unassigned"}, "No segments yet: no model has judged the 1 user"),
        ([("low", 0, None), ("high", 0, None)], NAMES, "High: 50% of the users"),
    ],
)
def test_few_users(users: list[tuple[str, int, float | None]], names: dict[str, str], said: str) -> None:
    assert distribution.chart(facts(users, names)).finding == said


def test_the_strongest_difference_of_the_most_engaged_is_told() -> None:
    users = [*[("low", 1 + at % 2, 5_000.0) for at in range(9)], *[("high", 40 + at, 5_000.0) for at in range(9)]]
    assert characteristics.chart(facts(users)).finding == (
        "High: clicks 30.5 times as often as others do: 44.0 on average against 1.4"
    )
    same = characteristics.chart(facts([("low", 1, 5.0), ("high", 1, 5.0)]))
    assert same.finding == "No feature sets one segment apart from the others"
    alone = characteristics.chart(facts([("low", 1, 5.0)], {"low": "Low"}))
    assert alone.finding == "All users are in one segment: there is none to compare it with"


def test_hours_and_days_that_stand_out_by_the_clocks_of_the_time_zone() -> None:
    quarters = hours(("low", 12, 90), ("low", 3, 10), ("high", 12, 400))
    found = times.chart(facts(USERS, quarters=quarters, timezone="Asia/Kolkata"))
    assert found.finding == "All segments are most active from 17:00 to 18:00 and on Wednesdays"
    assert "Asia/Kolkata" in found.note
    rows = {row[0]: row[1:] for row in found.table.rows}
    assert rows["17:00"] == ("90%", "100%") and rows["08:00"] == ("10%", "0%")
    assert rows["Wednesday"] == ("100%", "100%")


def test_an_even_week_and_few_events_are_no_finding() -> None:
    even = [("high", hour, 5) for hour in range(24 * 7)]
    for quarters in (hours(*even), hours(("low", 3, 99))):
        assert (
            times.chart(facts(USERS, quarters=quarters)).finding == "No hour and no weekday stands out in any segment"
        )
    differing = times.chart(facts(USERS, quarters=hours(*even, ("low", 3, 200))))
    assert differing.finding == "Low: most active from 3:00 to 4:00 and on Wednesdays"
    none = times.chart(facts(USERS))
    assert none.draw is None and none.finding.endswith("run `segmenter sink`")


def test_medians_of_the_most_and_the_least_engaged() -> None:
    assert two_features(facts(USERS)).finding == (
        "The median of High: 60 clicks and 1 min 10 s a view; of Low: 6 clicks and 2.0 s a view"
    )
    assert two_features(facts(USERS[1:3], {"low": "Low"})).finding == "The median of Low: 8 clicks"


def test_who_has_no_value_stands_about_the_mean_of_the_others_in_log1p() -> None:
    mean = (2_001 * 70_001) ** 0.5 / 1_000 - 0.001
    assert mean_of_others(cloud_of(facts(USERS))) == pytest.approx(mean)


def sized(*of: tuple[int, str, int], every_ms: int = DAY_MS) -> list[SegmentSize]:
    return [SegmentSize(number, NOON_MS + number * every_ms, slug, slug.title(), users) for number, slug, users in of]


def test_the_size_that_has_changed_most() -> None:
    history = sized((1, "low", 100), (1, "old", 90), (2, "low", 110), (4, "low", 150), (4, "high", 20))
    found = sizes.chart(facts(USERS, sizes=history))
    assert found.finding == "Old shrank most: from 90 to 0 users (-100%) in 3 days"
    assert found.table.columns == ("snapshot", "Old", "Low", "Middle", "High")
    assert found.table.rows[-1] == ("2023-11-19 12:00", "0", "150", "0", "20")
    grown = sizes.chart(facts(USERS, sizes=sized((1, "low", 0), (2, "low", 1), every_ms=3_600_000)))
    assert grown.finding == "Low grew most: from 0 to 1 user in 1 hour"
    same = sizes.chart(facts(USERS, sizes=sized((1, "low", 5), (2, "low", 5))))
    assert same.finding == "Every segment is as large as it was 1 day ago"
    back = sizes.chart(facts(USERS, sizes=sized((1, "low", 5), (2, "low", 9), (3, "low", 5))))
    assert back.finding == "Every segment is as large as it was 2 days ago"
    one = sizes.chart(facts(USERS, sizes=sized((1, "low", 5))))
    assert one.draw is None and one.finding.startswith("One snapshot so far")


def test_of_many_snapshots_some_are_shown_the_latest_among_them() -> None:
    found = sizes.chart(facts(USERS, sizes=sized(*[(number, "low", number) for number in range(130)])))
    assert 30 <= len(found.table.rows) <= 60 and found.table.rows[-1][1] == "129"
    assert f"Of 130 snapshots, {len(found.table.rows)} are shown." in found.note


def moved(*of: tuple[str, str, str, int], period: Period | None = None) -> Facts:
    return facts(USERS, moves=[SegmentMoves(*each) for each in of], period=period)


def test_moves_by_cause_without_first_judgements() -> None:
    of = [("low", "high", "behaviour", 3), ("low", "high", "model", 6), ("gone", "low", "repair", 1)]
    found = moves.chart(moved(*of, ("unassigned", "low", "model", 50), period=Period(NOON_MS, NOON_MS + DAY_MS, True)))
    assert found.finding == "Of 10 moves, 60% came from the model, 30% from the users' behaviour and 10% from repairs"
    assert found.note == (
        "From 2023-11-15 12:00 to 2023-11-16 12:00, time zone UTC. Who moves twice counts twice. "
        "Not counted: 50 first judgements of new users."
    )
    assert found.table.columns == ("from", "to", "behaviour", "model", "repair", "all")
    assert found.table.rows == [("Low", "High", "3", "6", "0", "9"), ("Gone", "Low", "0", "0", "1", "1")]


def test_one_cause_no_moves_and_a_time_that_is_not_all_known() -> None:
    assert moves.chart(moved(("low", "high", "model", 4))).finding == "All 4 moves came from the model"
    assert moves.chart(moved(("low", "high", "model", 1))).finding == "The only move came from the model"
    none = moves.chart(moved(("unassigned", "low", "model", 4), period=Period(NOON_MS, NOON_MS, False)))
    assert none.draw is None and none.table.rows == []
    assert none.finding == "No user is known to have moved from one segment to another"
    assert "not all of it was read" in none.note


def rated(name: str, silhouette: float | None, rand: float | None, bouldin: float = 1.0) -> Rated:
    return Rated(name, 3, 0.25, silhouette, bouldin, 100.0, rand)


def compared(*of: Rated, snapshot: int = 7) -> Facts:
    return facts(USERS, rated=of, rated_snapshot=snapshot)


def test_the_live_segments_against_the_best_algorithm() -> None:
    live, worse = rated(LIVE, 0.5, 1.0), rated("gmm", 0.4, 0.3)
    found = algorithms.chart(compared(live, worse))
    assert found.finding == "No other algorithm separates these users better than the live segments: silhouette 0.500"
    assert found.table.rows[1] == ("gmm", "3", "25%", "0.400", "1.000", "100", "0.300")
    better = algorithms.chart(compared(live, rated("kmeans", 0.6, 0.9))).finding
    assert better == "kmeans separates these users better than the live segments: silhouette 0.600 against 0.500"
    old = algorithms.chart(compared(worse, rated("kmeans", None, 0.9), snapshot=5))
    assert old.finding == "kmeans agrees most with the live segments: adjusted Rand 0.900"
    assert "snapshot 5" in old.note and "snapshot" not in found.note
    none = algorithms.chart(facts(USERS))
    assert none.draw is None and "`segmenter cluster --algorithm all`" in none.finding


def test_low_is_best_where_low_is_better_and_a_tie_of_all_has_no_best() -> None:
    of = compared(rated("a", 0.5, 0.2, bouldin=0.3), rated("b", 0.5, 0.1, bouldin=2.0))
    best = {score.title: algorithms.best_of(of, score) for score in algorithms.SCORES}
    assert best == {
        "Silhouette": set(), "Davies–Bouldin": {"a"}, "Calinski–Harabasz": set(), "Agreement with live": {"a"},
    }  # fmt: skip


def test_no_two_segments_share_colour_and_hatch_nor_a_marker() -> None:
    for count in range(1, 13):
        marks = marks_of(["unassigned", *[f"s{index}" for index in range(count)]])
        assert len({(mark.colour, mark.hatch) for mark in marks.values()}) == count + 1
        assert len({mark.hatch for mark in marks.values()}) >= count
        assert len({mark.marker for mark in marks.values()}) == count + 1


@pytest.mark.parametrize(
    "of",
    [
        facts([("unassigned", 0, None)], {"unassigned": "Unassigned"}, generation=0),
        facts([("low", 3, None), ("high", 2**40, None)]),
        facts(
            [(f"s{i}", i, i * 1e6) for i in range(12)],
            {f"s{i}": f"A {'long ' * 8}name of $\\frac$ <b> 名 {i}" for i in range(12)},
            sizes=sized(*[(n, f"s{i}", n + i) for n in (1, 2) for i in range(12)]),
            moves=[SegmentMoves(f"s{i}", f"s{i - 1}", "model", 1) for i in range(1, 12)],
        ),
    ],
    ids=["one user, no model", "no view at all", "twelve long names"],
)
def test_the_corners_are_drawn_too(of: Facts) -> None:
    with styled():
        for chart in charts_of(of):
            if chart.draw:
                assert chart.draw(NARROW).axes and chart.draw(WIDE).axes
