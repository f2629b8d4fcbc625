"""`segmenter users load` and `segmenter users show`, as typed at a prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests import verbs
from tests.users.files import write_mapping, write_rows

Run = Callable[..., CompletedProcess[str]]
ROWS = [
    ("u1", "a", "1250000.5", "2024-01-01", "x|y", "5"),
    ("\U0001f989 \n", "", "many", "", "", "5"),
    ("\U0001f989 \n", "[b]", "", "", "", "5"),
]


@pytest.fixture
def run(warehouse_url: str, tmp_path: Path) -> Run:
    """Run ``segmenter users`` beside a file and its mapping."""
    write_rows(tmp_path / "users.csv", ROWS)
    write_mapping(tmp_path, timed=True)

    def users(*words: str) -> CompletedProcess[str]:
        environment = {"SEGMENTER_WAREHOUSE_URL": warehouse_url}
        return verbs.run("users", *words, environment=environment, folder=tmp_path)

    return users


LOAD = ("load", "users.csv", "--mapping", "users.toml")


def test_load_tells_what_it_did(run: Run) -> None:
    report = json.loads(run(*LOAD, "--json").stdout)
    assert report.pop("seconds") > 0
    assert report == {
        "file": "users.csv",
        "read": 3,
        "loaded": 2,
        "refused": {
            "number not readable": {
                "rows": 1,
                "first": [2],
                "detail": "earns is 'many', not a number such as 12.50 or -3",
            }
        },
        "attributes": {"group": 2, "income": 1, "joined": 1, "likes": 1},
        "users": 2,
        "without_events": None,
        "snapshot_id": None,
        "changed": 5,
    }
    shown = run(*LOAD).stdout.splitlines()
    assert shown[0].startswith("read 3 = loaded 2 + refused 1, in ")
    assert shown[1:4] == [
        "  refused 1: number not readable. First rows 2: earns is 'many', not a number such as 12.50 or -3",
        "2 users; 0 values are new or changed",
        "  group: in 2 rows",
    ]
    assert shown[-1] == "there is no snapshot yet, so nobody knows how many of these users have events"


def test_show_tells_what_is_known_of_a_user(run: Run) -> None:
    assert run(*LOAD).returncode == 0
    assert run("show", "u1").stdout.splitlines() == [
        "u1",
        "  group: 'a' (category, since 1970-01-01 00:00:05)",
        "  income: 1,250,000.5 (number, since 1970-01-01 00:00:05)",
        "  joined: '2024-01-01' (date, since 1970-01-01 00:00:05)",
        "  likes: 'x|y' (category, since 1970-01-01 00:00:05)",
    ]
    assert json.loads(run("show", ROWS[2][0], "--json").stdout) == {
        "user": ROWS[2][0],
        "attributes": [{"attribute": "group", "type": "category", "value": "[b]", "as_of_ms": 5_000}],
    }
    assert run("show", ROWS[2][0]).stdout.splitlines()[0] == r"'\U0001f989 \n'"


def test_of_whom_nothing_is_known_is_an_error(run: Run) -> None:
    """In a warehouse without tables, too."""
    missing = [run("show", "u1")]
    assert run(*LOAD).returncode == 0
    missing += [run("show", user) for user in ("u1 ", os.fsdecode(b"\xff"))]
    for done in missing:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: no attributes of the user ") and done.stderr.count("\n") == 1


def test_a_preview_loads_nothing(run: Run) -> None:
    shown = run(*LOAD, "--preview", "1").stdout.splitlines()
    assert shown == [
        "row 1: 'u1' {'group': 'a', 'income': 1250000.5, 'joined': '2024-01-01', 'likes': 'x|y'}, "
        "since 1970-01-01 00:00:05"
    ]
    report = json.loads(run(*LOAD, "--preview", "9", "--json").stdout)
    assert [user["user"] for user in report["preview"]] == ["u1", ROWS[2][0]]
    assert report["refused"]["number not readable"]["rows"] == 1
    assert run("show", "u1").returncode == 2


def test_what_is_wrong_ends_with_2(run: Run, tmp_path: Path) -> None:
    for words in (
        ("load", "nowhere.csv", "--mapping", "users.toml"),
        ("load", "users.csv", "--mapping", "nowhere.toml"),
        ("load", "users.csv"),
        ("show",),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: ")
