"""The top of the page: how fresh the data are, and what reconcile said."""

from __future__ import annotations

from segmenter.report.facts import names_in_order
from segmenter.report.status import freshness, verdict
from segmenter.warehouse import Verdict
from tests.report.made import NOON_MS, facts

USERS = [("low", 4, 2_000.0), ("high", 60, 70_000.0)]


def test_the_verdict_in_words() -> None:
    assert verdict(facts(USERS)).text.startswith("Run `segmenter reconcile`")
    right = verdict(facts(USERS, verdict=Verdict(NOON_MS, 1, 4, 0, 0, 0, 0, 0)))
    assert right.state == "good"
    assert right.text == "4 users compared, not one number differs. Compared on 2023-11-15 12:00."
    wrong = verdict(facts(USERS, verdict=Verdict(NOON_MS, 1, 4, 1, 2, 0, 1, 3)))
    assert wrong.state == "bad"
    assert wrong.text.startswith(
        "4 users compared: 1 user with other numbers, 2 users missing from the stream, 1 shard with wrong counts and "
        "3 gaps in the warehouse."
    )


def test_what_the_warehouse_lacks_is_no_difference_and_no_proof() -> None:
    open_ = verdict(facts(USERS, verdict=Verdict(NOON_MS, 1, 4, 0, 0, 0, 0, 1)))
    assert (open_.state, open_.title) == ("open", "Equal, as far as the warehouse knows")
    assert open_.text == (
        "4 users compared, not one number differs. The warehouse lacks the events of 1 gap, so users with events there "
        "may differ: `segmenter reconcile` names what is missing. Compared on 2023-11-15 12:00."
    )


def test_how_fresh_the_data_are() -> None:
    fresh = freshness(facts(USERS))
    assert (fresh.state, fresh.title) == ("good", "Data as of 2023-11-15 12:00")
    assert fresh.text == "By the clocks of UTC. The page was made 1 minute later."
    old = freshness(facts(USERS, events_missing=5)._replace(made_ms=NOON_MS + 3 * 86_400_000))
    assert old.state == "open" and "3 days later" in old.text and "5 events" in old.text


def test_users_without_a_segment_come_before_the_others() -> None:
    assert list(names_in_order(None, ["unassigned", "b", "a"])) == ["a", "b", "unassigned"]
