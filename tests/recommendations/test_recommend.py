"""`segmenter recommend`: from raw events and a snapshot to items, for one user and for all, on each warehouse."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.errors import Fenced, NothingYet, RulesDiffer, UsageError
from segmenter.events import Rules
from segmenter.kinds import BUILT_IN
from segmenter.operations.recommendations import Recommendations, recommend, recommend_all
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from segmenter.warehouse.analysis import items as item_reading
from segmenter.warehouse.engine import reading
from tests import verbs
from tests.recommendations import plainly
from tests.recommendations.people import ODD_ITEMS, frame, load, mixed, planted, take


def rows(database: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with reading(database) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def found(answer: Recommendations) -> list[tuple[str, plainly.Reasons]]:
    return [(item.decode(), tuple(why)) for item, *why in answer.items]  # type: ignore[misc]


def stored(database: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the run that counts, by user, in their order."""
    query = (
        "SELECT user_id, place, item_id, score, segment, basis, share, lift, near FROM recommendations "
        "WHERE run_id = (SELECT run_id FROM recommendation_runs) ORDER BY user_id, place"
    )
    by_user = defaultdict(list)
    for user, *values in rows(database, query):
        by_user[bytes(user).decode()].append((values[0], bytes(values[1]).decode(), *values[2:]))
    return by_user


def test_each_segment_is_recommended_what_it_likes(settings: Settings, database: Warehouse) -> None:
    """Two groups that like different items: each user gets the four that are left of the group's ten first."""
    events, segments = planted()
    load(database, events)
    take(database, segments)
    for user, letter in (("reader 7", "r"), ("player 3", "p")):
        own = {item for name, item in events if name == user}
        answer = recommend(settings, user, 4)
        assert {item.item.decode() for item in answer.items} == {f"{letter}{n}" for n in range(10)} - own
        assert all(item.lift and item.lift > 1.5 for item in answer.items)
        assert (answer.segment, answer.basis, answer.had) == (user.split()[0], "segment", len(own))


def test_a_segment_of_busy_users_likes_nothing_by_that_alone(settings: Settings, database: Warehouse) -> None:
    """They have four times as much of everything: the lift of each item is near 1, as taste is measured by activity."""
    rng = random.Random(3)
    users = {f"u{number}": ("busy" if number < 50 else "calm") for number in range(100)}
    events = [
        (user, item)
        for user, slug in users.items()
        for item in rng.sample([f"i{number}" for number in range(20)], 12 if slug == "busy" else 3)
    ]
    load(database, events)
    take(database, users)
    lifts = [item.lift or 0.0 for user in ("u1", "u99") for item in recommend(settings, user, 20).items]
    assert len(lifts) > 20
    assert 0.6 < min(lifts) < max(lifts) < 1.6


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_and_reasons_are_those_of_plain_pandas(settings: Settings, database: Warehouse, seed: int) -> None:
    events, segments = mixed(seed)
    load(database, events)
    take(database, segments)
    for user in ("u0", "u1", "u17", "new", "idle"):
        expected = plainly.recommended(frame(events), segments, user, 15)
        answer = found(recommend(settings, user, 15))
        assert [item for item, _ in answer] == [item for item, _ in expected], user
        for (_, ours), (_, theirs) in zip(answer, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-9)


def test_all_get_what_each_gets(settings: Settings, database: Warehouse) -> None:
    events, segments = mixed(4)
    load(database, events)
    take(database, {user: slug for user, slug in segments.items() if user != "u5"})
    number, run = recommend_all(settings, 6, now_ms=9)
    by_user = stored(database)
    assert (number, run.snapshot_id, run.users, run.taken_ms) == (1, 1, len(segments), 9)
    assert run.recommendations == sum(map(len, by_user.values()))
    assert set(by_user) == set(segments) - {"everything"}
    for user in segments:
        answer = recommend(settings, user, 6)
        expected = [
            (place, item.item.decode(), item.score, answer.segment, answer.basis, item.share, item.lift, item.near)
            for place, item in enumerate(answer.items, 1)
        ]
        assert by_user[user] == expected


def test_nothing_is_recommended_that_the_user_had_of_whatever_kind(settings: Settings, database: Warehouse) -> None:
    """Items are told apart byte by byte, and an item of a click is had as much as one of a view."""
    events, segments = mixed(6)
    load(database, events)
    take(database, segments)
    recommend_all(settings, 40, now_ms=1)
    pairs = {(user, item) for user, items in stored(database).items() for _, item, *_ in items}
    assert pairs & set(events) == set()
    assert {item for _, item in pairs} >= set(ODD_ITEMS) - {"%s; --"}
    assert found(recommend(settings, "everything", 40)) == []


def test_what_fewer_than_three_users_had_is_not_recommended(settings: Settings, database: Warehouse) -> None:
    load(database, [("u1", "rare"), ("u2", "rare"), ("u1", "known"), ("u2", "known"), ("u3", "known")])
    take(database, {"u1": "a", "u2": "a", "u3": "a", "u4": "a"})
    assert [item for item, _ in found(recommend(settings, "u4", 10))] == ["known"]
    assert found(recommend(settings, "u3", 10)) == []


def test_equal_scores_are_in_the_order_of_the_ids_bytes(settings: Settings, database: Warehouse) -> None:
    ids = [*ODD_ITEMS, "b", "a", "B"]
    events = [(f"u{user}", item) for user in range(4) for item in random.Random(user).sample(ids, len(ids))]
    load(database, events)
    take(database, {f"u{user}": "a" for user in range(4)} | {"nothing": "a"})
    answer = found(recommend(settings, "nothing", 50))
    assert len({why[0] for _, why in answer}) == 1
    assert [item for item, _ in answer] == sorted(ids, key=str.encode)


def test_the_order_of_events_and_repeats_change_nothing(
    settings: Settings, database: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when raw events are read in many pages."""
    events, segments = mixed(7)
    shuffled = [*events, *events[::3]]
    random.Random(1).shuffle(shuffled)
    take(database, segments)
    load(database, shuffled)
    monkeypatch.setattr(item_reading, "EVENTS_AT_A_TIME", 7)
    for user in ("u0", "u30"):
        expected = plainly.recommended(frame(events), segments, user, 10)
        answer = found(recommend(settings, user, 10))
        assert [(item, pytest.approx(why)) for item, why in expected] == answer


def test_who_has_no_segment_or_no_items_is_told_what_is_popular(settings: Settings, database: Warehouse) -> None:
    events, segments = mixed(8)
    load(database, events)
    take(database, {user: slug for user, slug in segments.items() if user != "u5"})
    popular = frame(events).drop_duplicates()["item"].value_counts() / len(segments)
    for user, slug in (("new", "unassigned"), ("u5", "unassigned"), ("idle", "b")):
        answer = recommend(settings, user, 5)
        assert (answer.basis, answer.segment) == ("popularity", slug)
        assert all((share, lift) == (popular[item], None) for item, (_, share, lift, _) in found(answer))
        assert [why[0] for _, why in found(answer)] == sorted([why[0] for _, why in found(answer)], reverse=True)


def test_a_user_whom_nobody_knows_is_an_error_that_says_so(settings: Settings, database: Warehouse) -> None:
    with pytest.raises(NothingYet, match="the warehouse holds no snapshot yet"):
        recommend(settings, "u1", 10)
    take(database, {"u1": "a"})
    with pytest.raises(UsageError, match="no raw event has an item_id"):
        recommend(settings, "u1", 10)
    load(database, [("u2", "tea"), ("u3", None)])
    for user in ("u", "u11", "u3", "zz", "\udcff"):
        with pytest.raises(UsageError, match="is not in snapshot 1 and has no event with an item: check the id"):
            recommend(settings, user, 10)
    assert recommend(settings, "u2", 10).items == []


def test_the_query_of_the_page_is_answered(settings: Settings, database: Warehouse) -> None:
    """Also with the cast that SQLite needs."""
    page = (Path(__file__).parents[2] / "docs" / "recommendations.md").read_text("utf-8")
    (query,) = re.findall(r"```sql\n(.*?);\n```", page, re.DOTALL)
    (cast,) = re.findall(r"on SQLite, write `(CAST\(.*?\))`", page)
    events, segments = mixed(3)
    load(database, [("u42" if user == "u7" else user, item) for user, item in events])
    take(database, {"u42" if user == "u7" else user: slug for user, slug in segments.items()})
    recommend_all(settings, 3, now_ms=1)
    answer = rows(database, query.replace("'u42'", cast) if database.engine.dialect.name == "sqlite" else query)
    assert [bytes(item) for _, item, *_ in answer] == [each.item for each in recommend(settings, "u42", 3).items]


def test_settings_that_lack_a_kind_are_refused(settings: Settings, database: Warehouse) -> None:
    """By whose events users may have had what would be recommended."""
    more = Settings(warehouse_url=settings.warehouse_url, kinds=(*settings.kinds, BUILT_IN["purchase"]), currency="EUR")
    warehouse.claim_rules(database, Rules.of(more))
    take(database, {"u1": "a"})
    with pytest.raises(RulesDiffer, match="purchase"):
        recommend(settings, "u1", 10)


def row(user: int, item: str = "tea") -> tuple[Any, ...]:
    return b"u%06d" % user, 1, item.encode(), 0.5, "a", "segment", 0.5, 1.0, 0


def test_a_run_replaces_the_one_before_as_a_whole_or_not_at_all(database: Warehouse) -> None:
    def interrupted() -> Iterator[tuple[Any, ...]]:
        yield from [row(user, "jam") for user in range(25_000)]
        raise KeyboardInterrupt

    def write(rows_: Any) -> tuple[int, warehouse.RecommendationRun]:
        return warehouse.write_recommendations(database, 1, 5, 6, 7, rows_)

    assert write([row(1), row(2)])[0] == 1
    with pytest.raises(KeyboardInterrupt):
        write(interrupted())
    assert rows(database, "SELECT run_id, recommendations FROM recommendation_runs") == [(1, 2)]
    assert set(stored(database)) == {"u000001", "u000002"}
    number, run = write([row(3)])
    assert (number, run) == (3, warehouse.RecommendationRun(1, 5, 6, 1, 7))
    assert rows(database, "SELECT DISTINCT run_id FROM recommendations") == [(3,)]
    assert set(stored(database)) == {"u000003"}


def test_of_two_runs_at_once_the_later_one_counts(database: Warehouse) -> None:
    def meanwhile() -> Iterator[tuple[Any, ...]]:
        yield row(1)
        warehouse.write_recommendations(database, 1, 1, 1, 1, [row(2)])

    with pytest.raises(Fenced, match="another `segmenter recommend --all` has begun meanwhile"):
        warehouse.write_recommendations(database, 1, 1, 1, 1, meanwhile())
    assert set(stored(database)) == {"u000002"}


def run(url: str, *arguments: str) -> CompletedProcess[str]:
    return verbs.run("recommend", *arguments, environment={"SEGMENTER_WAREHOUSE_URL": url})


def test_the_command_prints_reasons_in_words_or_one_json_object(warehouse_url: str, database: Warehouse) -> None:
    events, segments = planted()
    load(database, [*events, ("reader 1", "x0")])
    take(database, {**segments, "idle": "reader"})
    shown = run(warehouse_url, "reader 1", "--limit", "2")
    assert shown.returncode == 0, shown.stderr
    first, best, _ = shown.stdout.splitlines()
    item = best.split()[1]
    readers = {user for user, slug in segments.items() if slug == "reader"} | {"idle"}
    share = len({user for user, each in events if each == item and user in readers}) / len(readers)
    assert first.startswith("'reader 1': reader, had ")
    assert f"had by {100 * share:.1f} % of reader, " in best
    assert "times as often as by others of equal activity; goes with " in best
    assert run(warehouse_url, "idle").stdout.splitlines()[1] == "by popularity, since the user has no items yet"
    (line,) = run(warehouse_url, "reader 1", "--limit", "2", "--json").stdout.splitlines()
    answer = json.loads(line)
    assert [each["item"] for each in answer["items"]] == [item, shown.stdout.splitlines()[2].split()[1]]
    assert answer["items"][0]["reason"] in best
    everybody = run(warehouse_url, "--all", "--top", "3", "--json")
    report = json.loads(everybody.stdout)
    assert (report["run_id"], report["users"], report["items"], report["recommendations"]) == (1, 61, 22, 61 * 3)
    assert "reading raw events: " in everybody.stderr and "recommending: 61 " in everybody.stderr
    assert " recommendations of 22 items for 61 users, by snapshot 1, in " in run(warehouse_url, "--all").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one user, or all: segmenter recommend USER, or segmenter recommend --all."),
        (["u1", "--all"], "name one user, or all: "),
        (["u1", "--top", "3"], "--limit is for one USER, and --top for --all: "),
        (["--all", "--limit", "3"], "--limit is for one USER, and --top for --all: "),
    ],
)
def test_an_option_that_means_nothing_is_an_error_of_one_line(arguments: list[str], words: str) -> None:
    ended = run("sqlite:///nowhere/w.db", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(f"error: {words}")
