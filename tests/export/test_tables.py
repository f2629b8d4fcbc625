"""Tables in other databases: what they hold, and that who reads them sees all of one snapshot at any moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

from segmenter.errors import Forbidden, SegmenterError, Unreachable, UsageError
from segmenter.kinds import BUILT_IN, DEFAULT
from segmenter.operations.export import export_to_table
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse, migrate
from tests.export.conftest import Postgres
from tests.export.world import COLUMNS, IDS, Row, Stop, after_the_first, expected, stop, write
from tests.threads import Threads

pytestmark = pytest.mark.xdist_group("export")  # they share a PostgreSQL server
TARGETS = ["sqlite", "duckdb", "postgresql", "server"]
PLAIN = [user for user in IDS if "\0" not in user]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, warehouse_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; or of another one beside the warehouse, which is MariaDB where it is given."""
    if request.param == "server":
        own = sqlalchemy.make_url(warehouse_url)
        beside = own.set(database=f"{own.database}_beside")
        if beside.get_backend_name() == "sqlite":
            yield str(beside)
            return
        with connected(warehouse_url, isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {beside.database}"))
            yield beside.render_as_string(hide_password=False)
            connection.execute(text(f"DROP DATABASE {beside.database}"))
        return
    if request.param == "duckdb":
        pytest.importorskip("duckdb_engine", reason="no DuckDB here: it is not built for musl")
    if request.param != "postgresql":
        yield f"{request.param}:///{tmp_path}/export.{request.param}"
    else:
        yield request.getfixturevalue("own_database")


@pytest.fixture
def own_database(postgres: Postgres) -> str:
    """An empty database of the server."""
    for statement in ("DROP DATABASE IF EXISTS export WITH (FORCE)", "CREATE DATABASE export"):
        with connected(postgres.url(), isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
    return postgres.url("export")


@contextmanager
def connected(url: str, **options: Any) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(url, **options)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def held(url: str, table: str = "user_segments") -> list[Row]:
    """What a table holds, in the order of the ids' bytes."""
    with connected(url) as connection:
        at = "CAST(taken_at AS VARCHAR)" if connection.dialect.name == "duckdb" else "taken_at"
        found = connection.execute(text(f"SELECT {', '.join(COLUMNS[:-1])}, {at} AS taken_at FROM {table}")).all()
    rows = [row._asdict() for row in found]
    for row in rows:
        moment = row["taken_at"]
        read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        row["taken_at"] = read if read.tzinfo else read.replace(tzinfo=UTC)
    return sorted(rows, key=lambda row: row["user_id"].encode())


def tables(url: str) -> list[str]:
    with connected(url) as connection:
        return sorted(name for name in sqlalchemy.inspect(connection).get_table_names() if "user_segments" in name)


def test_a_table_holds_what_sql_says(target: str, settings: Settings, database: Warehouse) -> None:
    ids = PLAIN if target.startswith("postgresql") else IDS
    number = write(database, ids)
    exported = export_to_table(settings, target)
    assert exported[1:7] == ("user_segments", "table", number, len(ids), 0, None)
    assert held(target) == expected(database, number)


def test_a_table_is_replaced_as_a_whole(target: str, settings: Settings, database: Warehouse) -> None:
    """Who reads it meanwhile sees the former snapshot, and after a failure everybody does."""
    first, second = write(database, PLAIN), write(database, PLAIN[3:])
    seen: list[Any] = []
    export_to_table(settings, target, first, progress=after_the_first(lambda: seen.append(tables(target))))
    assert not seen[0] or re.fullmatch("user_segments_incomplete_[0-9a-f]{8}", *seen[0])
    seen.clear()
    former = expected(database, first)
    with pytest.raises(Stop):
        export_to_table(settings, target, second, progress=after_the_first(stop))
    assert held(target) == former
    export_to_table(settings, target, second, progress=after_the_first(lambda: seen.extend(held(target))))
    assert seen == former
    assert held(target) == expected(database, second)
    assert tables(target) == ["user_segments"]


def test_a_table_that_fails_the_first_time_is_not_there(target: str, settings: Settings, database: Warehouse) -> None:
    write(database, PLAIN)
    with pytest.raises(Stop):
        export_to_table(settings, target, progress=after_the_first(stop))
    assert tables(target) == []
    export_to_table(settings, target, table="Of_My_own")
    export_to_table(settings, target, table="Of_My_own")


def test_a_table_that_looks_incomplete_is_not_touched(target: str, settings: Settings, database: Warehouse) -> None:
    number, name = write(database, PLAIN), "user_segments_of_everybody_who_has_ever_been_here1"
    with connected(target) as connection:
        for table in ("user_segments_incomplete", f"{name}_incomplete"):
            connection.execute(text(f"CREATE TABLE {table} (card INTEGER)"))
            connection.execute(text(f"INSERT INTO {table} VALUES (9)"))
        connection.commit()
    there = tables(target)
    for table in ("user_segments", name):
        export_to_table(settings, target, table=table)
        assert held(target, table) == expected(database, number)
    assert tables(target) == sorted([*there, "user_segments", name])


@pytest.mark.parametrize("target", ["server"], indirect=True)
def test_of_two_first_exports_at_once_one_is_there(target: str, settings: Settings, database: Warehouse) -> None:
    """MySQL and MariaDB alone show a table that is not complete."""
    if target.startswith("sqlite"):
        return
    first, second = write(database, PLAIN), write(database, PLAIN[3:])

    def begin() -> None:
        export_to_table(settings, target, second)

    with pytest.raises(SegmenterError, match="already exists"):
        export_to_table(settings, target, first, progress=after_the_first(begin))
    assert held(target) == expected(database, second)
    assert tables(target) == ["user_segments"]


def test_the_warehouse_itself_is_refused(
    warehouse_url: str, settings: Settings, database: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(database, PLAIN)
    monkeypatch.chdir(tmp_path)
    other_options = sqlalchemy.make_url(warehouse_url).update_query_dict({"read_timeout": "3"})
    same = {warehouse_url, other_options.render_as_string(hide_password=False)}
    if warehouse_url.startswith("sqlite"):
        (tmp_path / "link.db").symlink_to("warehouse.db")
        same |= {"sqlite:///warehouse.db", "sqlite+pysqlite:///./link.db"}
    for url in same:
        with pytest.raises(UsageError, match="is the warehouse itself"):
            export_to_table(settings, url)
    assert tables(warehouse_url) == []


def test_a_database_that_is_not_there_can_be_corrected(
    warehouse_url: str, settings: Settings, database: Warehouse
) -> None:
    """In MySQL and MariaDB; a file of SQLite comes into being."""
    if warehouse_url.startswith("sqlite"):
        return
    write(database, ())
    with pytest.raises(UsageError, match=r"cannot be opened .*Unknown database"):
        nowhere = sqlalchemy.make_url(warehouse_url).set(database="segmenter_nowhere")
        export_to_table(settings, nowhere.render_as_string(hide_password=False))


def test_indexes_and_views_stay_and_columns_of_new_kinds_come(
    target: str, settings: Settings, database: Warehouse
) -> None:
    write(database, PLAIN)
    export_to_table(settings, target)
    with connected(target) as connection:
        connection.execute(text("CREATE VIEW loyal AS SELECT user_id FROM user_segments WHERE segment <> 'unassigned'"))
        if connection.dialect.name != "duckdb":  # there, indexes forbid some changes of a table
            connection.execute(text("CREATE UNIQUE INDEX of_user ON user_segments (user_id)"))
        connection.commit()
    kinds = (*DEFAULT, BUILT_IN["purchase"])
    grown = Settings(warehouse_url=settings.warehouse_url, kinds=kinds)
    migrate(database._replace(kinds=kinds), now_ms=2)
    export_to_table(grown, target)
    with connected(target) as connection:
        (counted,) = connection.execute(text("SELECT COUNT(*) FROM loyal")).scalars()
        assert counted == len([row for row in held(target) if row["segment"] != "unassigned"])
        assert set(connection.execute(text("SELECT purchases, mean_purchase_amount FROM user_segments"))) == {(0, None)}


def test_a_table_of_somebody_else_is_not_touched(target: str, settings: Settings, database: Warehouse) -> None:
    write(database, PLAIN)
    with connected(target) as connection:
        connection.execute(text("CREATE TABLE customers (user_id INTEGER, card INTEGER)"))
        connection.execute(text("CREATE TABLE ids (user_id INTEGER)"))
        connection.execute(text("INSERT INTO customers VALUES (7, 9)"))
        connection.commit()
    for table, words in {"customers": r"columns that an export lacks \(card\)", "ids": "lacks segment, "}.items():
        with pytest.raises(UsageError, match=f"the table {table} at .* is not one of these exports: it .*{words}"):
            export_to_table(settings, target, table=table)
    with pytest.raises(UsageError, match="the table may not be called"):
        export_to_table(settings, target, table="x; DROP TABLE customers")
    with connected(target) as connection:
        assert connection.execute(text("SELECT * FROM customers")).all() == [(7, 9)]


def test_an_id_that_postgresql_cannot_hold_is_left_out_and_counted(
    own_database: str, settings: Settings, database: Warehouse
) -> None:
    number = write(database)
    exported = export_to_table(settings, own_database)
    assert (exported.rows, exported.left_out) == (len(PLAIN), 1)
    assert held(own_database) == [row for row in expected(database, number) if row["user_id"] in PLAIN]


def test_a_database_that_goes_away_keeps_what_it_had(
    own_database: str, postgres: Postgres, settings: Settings, database: Warehouse
) -> None:
    first, second = write(database, PLAIN), write(database, PLAIN[:25])
    export_to_table(settings, own_database, first)
    with pytest.raises(Unreachable, match=r"the database at .*tester:\*\*\*@.* does not answer as it should") as caught:
        export_to_table(settings, own_database, second, progress=after_the_first(postgres.stop))
    assert "s3cret" not in str(caught.value)
    postgres.start()
    assert held(own_database) == expected(database, first)
    assert tables(own_database) == ["user_segments"]


def test_of_two_exports_at_once_the_later_one_counts(
    own_database: str, settings: Settings, database: Warehouse, until: Callable[[Callable[[], object]], None]
) -> None:
    first, second = write(database, PLAIN), write(database, PLAIN[3:])
    export_to_table(settings, own_database, first)

    def waits() -> bool:
        with connected(own_database) as connection:
            return bool(connection.execute(text("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")).scalar())

    with Threads() as threads:

        def begin() -> None:
            threads.submit(export_to_table, settings, own_database, second)
            until(waits)

        export_to_table(settings, own_database, first, progress=after_the_first(begin))
    assert held(own_database) == expected(database, second)


def test_a_missing_right_is_named(own_database: str, settings: Settings, database: Warehouse) -> None:
    write(database, PLAIN)
    with connected(own_database) as connection:
        connection.execute(text("DROP ROLE IF EXISTS nobody"))
        connection.execute(text("CREATE ROLE nobody LOGIN"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        connection.commit()
    with pytest.raises(Forbidden, match="permission denied for schema public"):
        export_to_table(settings, own_database.replace("tester", "nobody"))


@pytest.mark.parametrize(
    ("target", "raised", "words"),
    [
        ("postgresql://me:s3cret@127.0.0.1:1/db", Unreachable, "Connection refused"),
        ("postgresql://me:s3cret@127.0.0.1:1/db?sslrootcert=x&nothing=1", UsageError, "nothing"),
        ("mysql+pymysql://me:s3cret@127.0.0.1:1/db", Unreachable, "Connection refused"),
        ("mysql+pymysql://me:s3cret@127.0.0.1:1/db?nothing=1", UsageError, "does not know: .*nothing"),
        ("mysql+pymysql://me:s3cret@127.0.0.1:port/db", UsageError, "port must be a number"),
        ("postgresql+psycopg2://me:s3cret@127.0.0.1/db", UsageError, r"pip install 'psycopg\[binary\]'"),
        ("postgresql+nothing://me:s3cret@127.0.0.1/db", UsageError, r"pip install 'psycopg\[binary\]'"),
        ("postgresql://me:s3cret@127.0.0.1", UsageError, "names no database"),
        ("sqlite:////nowhere/at/all.db", UsageError, "cannot be opened .unable to open database file"),
        ("duckdb:////nowhere/at/all.db", UsageError, "cannot be opened .*No such file"),
        ("duckdb:///:memory:", UsageError, "names no database"),
    ],
)
def test_what_cannot_be_reached_is_said_without_the_password(
    target: str, raised: type[SegmenterError], words: str, settings: Settings, database: Warehouse
) -> None:
    write(database, ())
    with pytest.raises(raised, match=words) as caught:
        export_to_table(settings, target)
    assert type(caught.value) is raised
    assert "s3cret" not in str(caught.value)
