"""Ids that somebody chose to do harm: each is one user like any other, in every part, and nothing else."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from consumers import sink, worker
from segmenter import warehouse
from segmenter.client import SegmentClient
from segmenter.events import Event
from segmenter.operations import restore, snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from tests import verbs
from tests.loop.helpers import START_MS, publish, rows

USERS = [
    "victim",
    # another user's key, or more keys than one
    ":victim",
    "user:victim",
    "seg:user:victim",
    "victim:",
    "{victim}",
    "{x}",
    "victim*",
    "[v]ictim",
    "*",
    "?",
    "../victim",
    # Lua, and the protocol of Redis
    "' .. redis.call('FLUSHALL') .. '",
    "]] redis.call('DEL', KEYS[1]) --[[",
    "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "victim\nHSET",
    # SQL
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "' OR '1'='1",
    "x'); DROP TABLE raw_clickstream; --",
    "%s",
    "%(user_id)s",
    ":user_id",
    "NULL",
    # a spreadsheet, a terminal
    "=cmd|' /C calc'!A1",
    "+1+1",
    "@SUM(1)",
    "-2",
    "a,b;c\td",
    "\x1b[31mred\x07",
    "[bold]bold[/bold]",
    # text at its edges
    " ",
    "\n",
    "\0",
    "victim\0",
    "\u202etcejni",
    "é",
    "e\u0301",
    "\ufeffvictim",
    "x" * 128,
    "🦆" * 128,
]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ufeff]")
TABLES = ("raw_clickstream", "raw_searches", "raw_views", "snapshot_users")


def test_each_is_one_user_and_nothing_else(settings: Settings) -> None:
    """The user in place n has n clicks: in Redis, in the warehouse, by lookup, and after a restore."""
    ids = [user.encode() for user in USERS]
    clicks = [
        Event(user, START_MS, f"{user[:100]}{n}", user) for place, user in enumerate(USERS, 1) for n in range(place)
    ]
    publish(settings, "clickstream", clicks)
    publish(settings, "searches", [Event(user, START_MS, query=user) for user in USERS])
    publish(settings, "views", [Event(user, START_MS, item_id=user, device=user, url=user) for user in USERS])
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    snapshot.take(settings, START_MS)
    result = reconcile(settings)[1]
    assert (result.compared, result.differing, result.missing, result.extra) == (len(USERS), 0, 0, 0)

    written = rows(settings)
    assert {user: row.profile[0] for user, row in written.items()} == {user: n for n, user in enumerate(ids, 1)}
    assert in_audiences(settings) == sorted(ids)
    with warehouse.connect(settings) as database, database.engine.begin() as connection:
        for table in TABLES:
            found = connection.execute(text(f"SELECT DISTINCT user_id FROM {table}")).scalars().all()
            assert sorted(found) == sorted(ids), table

    empty(settings)
    restore.write(settings, restore.prepare(settings), lambda users: None)
    worker.run(settings, once=True)
    assert {user: row.profile for user, row in rows(settings).items()} == {
        user: row.profile for user, row in written.items()
    }
    with SegmentClient(settings.redis_url, key_prefix=settings.key_prefix) as client:
        assert [answer.aggregates["clicks"] for answer in client.lookup_many(USERS)] == list(range(1, len(USERS) + 1))


def test_a_terminal_is_shown_no_control_character(settings: Settings, environment: dict[str, str]) -> None:
    """Each user takes one line, whatever is in the id; an argument can hold all but NUL."""
    publish(settings, "clickstream", [Event(user, START_MS) for user in USERS])
    worker.run(settings, once=True)
    asked = [user for user in USERS if "\0" not in user]
    shown = verbs.run("lookup", "--", *asked, environment=environment).stdout
    named = [line for line in shown.split("\n") if line[:1] in ("'", '"')]
    assert [line.rpartition(": ")[0] for line in named] == [repr(user) for user in asked]
    assert not CONTROL.search(shown)


def test_nor_by_what_names_those_who_differ(settings: Settings, environment: dict[str, str]) -> None:
    """Each of them is wrong in Redis, and is named in ASCII by `verify` and `reconcile`."""
    users = [user for user in USERS if CONTROL.search(user)][:4]  # reconcile shows a few examples
    publish(settings, "clickstream", [Event(user, START_MS) for user in users])
    worker.run(settings, once=True)
    sink.run(settings, once=True)
    with closing(connect(settings)) as client:
        for user in users:
            row = Keys(settings.key_prefix).user(user.encode())
            profile = client.hget(row, "profile")
            assert isinstance(profile, bytes)
            client.hset(row, "profile", profile.replace(b'"clicks":1', b'"clicks":2'))
    snapshot.take(settings, START_MS)
    for verb in ("verify", "reconcile"):
        done = verbs.run(verb, environment=environment)
        assert done.returncode == 1, done.stderr
        assert not CONTROL.search(done.stdout), verb
        assert [user for user in users if ascii(user) not in done.stdout] == [], verb


def test_nothing_here_writes_a_csv_file() -> None:
    """So no id becomes a formula in one; docs/security.md says so."""
    root = Path(__file__).parents[2]
    modules = [path for package in ("segmenter", "producers", "consumers") for path in (root / package).rglob("*.py")]
    assert len(modules) > 50
    assert [
        path for path in modules if re.search(r"csv\.(Dict)?[wW]riter|to_csv|write_csv", path.read_text("utf-8"))
    ] == []


def empty(settings: Settings) -> None:
    """Remove all that Redis holds of this test."""
    client = connect(settings)
    client.delete(*client.keys(f"{settings.key_prefix}:*"))
    client.close()


def in_audiences(settings: Settings) -> list[bytes]:
    """The members of all audiences."""
    client = connect(settings)
    found: list[bytes] = []
    for key in client.keys(f"{settings.key_prefix}:audience:*"):
        found += client.smembers(key)
    client.close()
    return sorted(found)
