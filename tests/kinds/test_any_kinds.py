"""Whatever the kinds are, stream, batch SQL and plain pandas agree to the unit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

import hypothesis
import hypothesis.strategies as st
import sqlalchemy

from consumers.sink import convert
from segmenter import warehouse
from segmenter.events import Rules
from segmenter.kinds import Kind, by_topic
from segmenter.model.profiles import decoder, encode, fields
from segmenter.settings import Settings
from segmenter.shards.batches import batches_of
from segmenter.shards.commits import batch_commit
from segmenter.shards.duplicates import DuplicateWindow
from segmenter.shards.row import Row
from segmenter.shards.state import UNKNOWN_SHARD
from segmenter.warehouse import Loaded, Move
from tests.kinds.any_kinds import WINDOW, Act, LogRecord, acts, log_of, plainly, tables

Named = dict[bytes, dict[str, int]]


def rules_of(kinds: tuple[Kind, ...]) -> Rules:
    """Rules for one partition."""
    return Rules(1, duplicate_window=WINDOW, kinds=kinds, currency="EUR")


def streamed(records: list[LogRecord], kinds: tuple[Kind, ...], commit_rows: int) -> Named:
    """What the worker's steps make of a log; each row is encoded and decoded, as Redis keeps it."""
    start = dict.fromkeys(by_topic(kinds), 0)
    names, decode = fields(kinds), decoder(kinds)
    rows: dict[bytes, Row | None] = {}
    state = UNKNOWN_SHARD
    seen = DuplicateWindow(WINDOW, start, bytes(16))
    for batch in batches_of(records, start, "", seen, rules_of(kinds), commit_rows):
        known = {user: rows.get(user) for user in batch.users}
        commit = batch_commit(batch, known, state, kinds, None)
        state = commit.after
        rows |= {row.user: row._replace(profile=decode(encode(row.profile, names))) for row in commit.rows}
    return {user: dict(zip(names, row.profile, strict=True)) for user, row in rows.items() if row}


def summed(records: list[LogRecord], kinds: tuple[Kind, ...], url: str) -> Named:
    """What the batch summary makes of it, after a sink has loaded it into an empty database."""
    settings = Settings(warehouse_url=url, kinds=kinds, partitions=1)
    topics = by_topic(kinds)
    rows, invalid = convert(records, settings, dict.fromkeys(topics, "t1"), rules_of(kinds))
    assert not invalid
    ends = {topic: sum(record.topic == topic for record in records) for topic in topics}
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, now_ms=1)
        warehouse.begin(database, {(topic, 0): Loaded("t1", 0) for topic in topics}, 1)
        warehouse.load(database, rows, {(topic, 0): Move(0, end) for topic, end in ends.items() if end})
        profiles = warehouse.all_loaded(database, WINDOW).profiles
    return {user: dict(zip(fields(kinds), profile, strict=True)) for user, profile in profiles.items()}


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.data(), tables(), st.integers(1, 4))
def test_on_sqlite(data: st.DataObject, kinds: tuple[Kind, ...], commit_rows: int) -> None:
    found: list[Act] = data.draw(acts(kinds))
    records = log_of(found)
    with tempfile.TemporaryDirectory() as folder:
        batch = summed(records, kinds, f"sqlite:///{Path(folder)}/w.db")
    assert streamed(records, kinds, commit_rows) == batch == plainly(found, kinds)


def test_on_the_servers_database(warehouse_url: str) -> None:
    """The same on the database under test, with few examples: each makes a database of its own."""
    server = sqlalchemy.create_engine(warehouse_url, isolation_level="AUTOCOMMIT")

    @hypothesis.settings(max_examples=8)
    @hypothesis.given(st.data(), tables())
    def agree(data: st.DataObject, kinds: tuple[Kind, ...]) -> None:
        found: list[Act] = data.draw(acts(kinds))
        records = log_of(found)
        if server.dialect.name == "sqlite":
            url = warehouse_url.replace("warehouse.db", f"{uuid4().hex}.db")
            assert summed(records, kinds, url) == plainly(found, kinds)
            return
        name = f"segmenter_test_{uuid4().hex}"
        with server.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
            url = server.url.set(database=name).render_as_string(hide_password=False)
            try:
                assert summed(records, kinds, url) == streamed(records, kinds, 2) == plainly(found, kinds)
            finally:
                connection.execute(sqlalchemy.text(f"DROP DATABASE {name}"))

    agree()
    server.dispose()
