"""`segmenter segments show`, `compare` and `action`, as typed at a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from segmenter.operations.segments.profiles import profile
from segmenter.settings import Settings
from segmenter.warehouse import Attribute, Warehouse
from tests import verbs
from tests.profiles.test_edges import small
from tests.profiles.world import KINDS, SLUGS, load, set_attributes, world

LOW, _, HIGH = SLUGS
Run = Callable[..., CompletedProcess[str]]
HOSTILE = "[red]\x1b[31m\u202e\n]"
"""Markup, a control character, a change of direction, a line break."""


@pytest.fixture
def run(warehouse_url: str, tmp_path: Path) -> Run:
    """Run ``segmenter segments``."""
    environment = {
        "SEGMENTER_WAREHOUSE_URL": warehouse_url,
        "SEGMENTER_KINDS": ",".join(kind.name for kind in KINDS),
        "SEGMENTER_DUPLICATE_WINDOW": "50",
    }

    def segments(*words: str, **variables: str) -> CompletedProcess[str]:
        return verbs.run("segments", *words, environment=environment | variables, folder=tmp_path)

    return segments


def lines(shown: str) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in shown.splitlines()]


def test_show_prints_tables_or_one_json_object(settings: Settings, database: Warehouse, run: Run) -> None:
    load(database, world())
    done = run("show", HIGH, SEGMENTER_TIMEZONE="Asia/Kathmandu")
    assert done.returncode == 0, done.stderr
    shown = lines(done.stdout)
    found = profile(settings, HIGH)
    (wanted,) = found.profiles
    assert shown[0] == (
        f"[b]Name of {HIGH} ({HIGH}): {wanted.users} of {found.users} users, {wanted.share:.1%}; snapshot 1"
    )
    assert shown[1] == f"compared with {wanted.others} users: all others"
    assert wanted.sentences[0] in shown
    assert f"Action (default): {wanted.action}" in shown
    total = next(each for each in wanted.features if each.name == "total_purchase_amount")
    begin = f"total_purchase_amount EUR {total.inside.mean / 100:,.2f} EUR {total.outside.mean / 100:,.2f} "  # type: ignore[operator]
    assert any(line.startswith(f"{begin}{total.difference:+.2f} ") for line in shown)
    (amounts,) = wanted.amounts
    assert f"refunds {amounts.inside.refunds}, EUR {amounts.inside.refunded / 100:,.2f}" in " ".join(shown)
    assert f"share of {wanted.times.inside.events:,} events by hour, Asia/Kathmandu" in " ".join(shown)
    page = wanted.values["page"][0]
    assert f"{page.value} {page.users} {page.share:.1%} {page.base_share:.1%} {page.lift:.2f}" in shown
    said = run("show", HIGH, "--json")
    report = json.loads(said.stdout)
    assert said.stdout.count("\n") == 1
    assert report["profiles"][0]["features"][0]["inside"]["mean"] == wanted.features[0].inside.mean
    assert report["profiles"][0]["times"]["timezone"] == "UTC"


def test_compare_takes_the_other_segment_in_place_of_the_rest(
    settings: Settings, database: Warehouse, run: Run
) -> None:
    load(database, world())
    shown = lines(run("compare", HIGH, LOW).stdout)
    (wanted,) = profile(settings, HIGH, LOW).profiles
    assert shown[1] == f"compared with {wanted.others} users: {LOW}"
    assert wanted.sentences[0] in shown and f"as “[b]Name of {LOW}” does" in wanted.sentences[0]
    assert json.loads(run("compare", HIGH, LOW, "--json").stdout)["profiles"][0]["against"] == LOW


def test_what_others_chose_is_shown_escaped(database: Warehouse, run: Run) -> None:
    """Pages, properties and attributes; in JSON they are as they are."""
    properties = json.dumps({"country": HOSTILE})
    users = [(b"%d" % each, HIGH if each % 2 else LOW) for each in range(20)]
    load(database, small(*users, url=HOSTILE, item_id=HOSTILE, query=HOSTILE, device=HOSTILE, properties=properties))
    set_attributes(database, {Attribute("club", "category"): {user: HOSTILE for user, _ in users}})
    assert run("action", HIGH, f"Call {HOSTILE}").returncode == 0
    shown = run("show", HIGH).stdout
    assert "\x1b" not in shown and "\u202e" not in shown
    assert shown.count(r"[red]\x1b[31m\u202e\n]") == 6  # device, page, item, query, property, attribute
    assert r"Action: Call [red]\x1b[31m\u202e ]" in shown
    report = json.loads(run("show", HIGH, "--json").stdout)["profiles"][0]
    assert report["values"]["property country"][0]["value"] == HOSTILE
    assert report["attributes"][0]["findings"][0]["value"] == HOSTILE


def test_an_action_is_set_and_taken_back(database: Warehouse, run: Run) -> None:
    load(database, small((b"a", HIGH)))
    assert run("action", HIGH, "Call them").stdout == f"{HIGH}: its action is 'Call them'\n"
    assert "Action: Call them" in lines(run("show", HIGH).stdout)
    assert json.loads(run("action", HIGH, "", "--json").stdout) == {"slug": HIGH, "action": None}


def test_what_is_wrong_is_one_line_and_ends_with_2(database: Warehouse, run: Run) -> None:
    for words, said in (
        (("show", HIGH), "the warehouse holds no snapshot yet: run `segmenter snapshot`."),
        (("show",), ""),
        (("compare", HIGH), ""),
        (("show", HIGH, "--run", "0"), ""),
        (("action", "fans", "x"), "there is no segment 'fans'; there are low_engagement, "),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].startswith(f"error: {said}")


def test_the_verb_alone_is_the_live_census(run: Run) -> None:
    """It asks Redis, not the warehouse."""
    done = run()
    assert (done.returncode, done.stdout) == (3, "")
    assert "SEGMENTER_REDIS_URL" in done.stderr
