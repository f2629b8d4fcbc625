"""A file of users is loaded as a whole or not at all, into one row a user and one column an attribute."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from segmenter import warehouse
from segmenter.errors import UsageError
from segmenter.operations.users import load as loading
from segmenter.settings import Settings
from segmenter.warehouse.engine import writing
from tests.threads import Threads
from tests.users.files import read_all, stored, write_mapping, write_rows
from tests.warehouse.world import ends, random_log, snapshot, user_row

NOW_MS = 1_800_000_000_000
ROWS = [
    ("u1", "a", "1", "2024-01-01", "x|y", "5"),
    ("u2", "", "", "", "", "5"),
    ("u3", "b", "-2.5", "", "", "6"),
]


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Those of an empty warehouse; no other part is used."""
    return Settings(warehouse_url=warehouse_url)


def mapping_of(folder: Path, attributes: str, format: str = "csv", name: str = "own.toml") -> Path:
    """A mapping with these lines under [attributes]."""
    path = folder / name
    path.write_text(f'format = "{format}"\n[columns]\nuser_id = "who"\n[attributes]\n{attributes}', "utf-8")
    return path


def test_one_row_a_user_and_one_column_an_attribute(settings: Settings, tmp_path: Path) -> None:
    """A user without any value is none."""
    path = write_rows(tmp_path / "users.csv", ROWS)
    done = loading.load(settings, path, write_mapping(tmp_path, timed=True), NOW_MS)
    assert (done.read, done.loaded, done.values) == (3, 3, (2, None, None, 6))
    assert done.attributes == {"group": 2, "income": 2, "joined": 1, "likes": 1}
    found = read_all(settings.warehouse_url, "SELECT user_id, `group`, income, joined, likes FROM users")
    assert sorted((bytes(user), *values) for user, *values in found) == [
        (b"u1", "a", 1.0, "2024-01-01", "x|y"),
        (b"u3", "b", -2.5, None, None),
    ]


def test_the_view_gets_the_columns_of_the_next_file(settings: Settings, tmp_path: Path) -> None:
    """And loses none; a view that somebody has removed comes back. An attribute that nobody has is no column."""
    first = mapping_of(tmp_path, 'region = { column = "group", type = "category" }')
    second = mapping_of(
        tmp_path,
        'age = { column = "earns", type = "number" }\nnever = { column = "empty", type = "date" }',
        name="second.toml",
    )
    path = tmp_path / "users.csv"
    path.write_text("who,group,earns,empty\nu1,a,1,\n")
    loading.load(settings, path, first, NOW_MS)
    loading.load(settings, path, second, NOW_MS)
    everything = "SELECT * FROM users"
    assert read_all(settings.warehouse_url, everything) == [(b"u1", 1.0, "a")]
    with warehouse.connect(settings) as database:
        assert [attribute.name for attribute in warehouse.attributes(database)] == ["age", "region"]
        with writing(database) as connection:
            connection.exec_driver_sql("DROP VIEW users")
    assert loading.load(settings, path, first, NOW_MS).values.changed == 0
    assert read_all(settings.warehouse_url, everything) == [(b"u1", 1.0, "a")]


def test_a_file_that_breaks_off_is_not_loaded_in_part(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there is as before, to the last value, and attributes that are new are not there."""
    monkeypatch.setattr(loading, "ROWS_AT_A_TIME", 2)
    loading.load(settings, write_rows(tmp_path / "users.csv", ROWS), write_mapping(tmp_path, timed=True), NOW_MS)
    before = stored(settings.warehouse_url)
    whole = tmp_path / "whole.csv"
    whole.write_text("who,c\n" + "".join(f"u{n},{n * n}\n" for n in range(20_000)))
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(whole.read_bytes())[:-20_000])
    new = mapping_of(tmp_path, 'fresh = { column = "c", type = "category" }')
    with pytest.raises(UsageError, match="cannot read"):
        loading.load(settings, torn, new, NOW_MS)
    assert stored(settings.warehouse_url) == before
    assert read_all(settings.warehouse_url, "SELECT attribute FROM attributes WHERE attribute = 'fresh'") == []
    assert loading.load(settings, whole, new, NOW_MS).values.changed == 20_000


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('type = "category"', 'type = "number"', "is stored as category, and the mapping says number"),
        ('type = "date"', 'type = "category"', "is stored as date, and the mapping says category"),
        ('type = "category"', 'type = "category", separator = "|"', "mapping says category with the separator '|'"),
        ('type = "category", separator = ";"', 'type = "category"', "is stored as category with the separator ';'"),
    ],
)
def test_an_attribute_of_another_type_is_refused(
    before: str, after: str, said: str, settings: Settings, tmp_path: Path
) -> None:
    """With what to do; until the one that is stored has been removed, as docs/users.md says."""
    path = tmp_path / "users.csv"
    path.write_text("who,c,d\nu1,2024-01-01,1\n")
    loading.load(settings, path, mapping_of(tmp_path, f'x = {{ column = "c", {before} }}'), NOW_MS)
    other = mapping_of(
        tmp_path,
        f'y = {{ column = "c", type = "category" }}\nx = {{ column = "{"d" if "number" in after else "c"}", {after} }}',
    )
    held = stored(settings.warehouse_url)
    with pytest.raises(UsageError, match=rf"the attribute 'x' .*{said.replace('|', '[|]')}.*docs/users.md"):
        loading.load(settings, path, other, NOW_MS)
    assert stored(settings.warehouse_url) == held
    with warehouse.connect(settings) as database, writing(database) as connection:
        page = (Path(__file__).parents[2] / "docs" / "users.md").read_text("utf-8")
        for line in page.splitlines():
            if line.startswith("DELETE FROM"):
                connection.exec_driver_sql(line.replace("age_band", "x").removesuffix(";"))
    assert loading.load(settings, path, other, NOW_MS).values.changed == 2


def test_the_type_of_what_nobody_has_is_not_fixed(settings: Settings, tmp_path: Path) -> None:
    """All rows were refused under a wrong type: the corrected mapping is not held to it."""
    path = tmp_path / "users.csv"
    path.write_text("who,c\nu1,a\n")
    wrong = loading.load(settings, path, mapping_of(tmp_path, 'x = { column = "c", type = "number" }'), NOW_MS)
    assert (wrong.loaded, list(wrong.refused)) == (0, ["number not readable"])
    right = loading.load(settings, path, mapping_of(tmp_path, 'x = { column = "c", type = "category" }'), NOW_MS)
    assert right.values.changed == 1


def test_there_are_at_most_two_hundred_attributes(settings: Settings, tmp_path: Path) -> None:
    """Over all files; so many make a view on every database."""
    path = tmp_path / "users.csv"
    path.write_text("who,c\nu1," + "x" * 512 + "\n")
    many = "".join(f'a{n} = {{ column = "c", type = "category" }}\n' for n in range(200))
    loading.load(settings, path, mapping_of(tmp_path, many), NOW_MS)
    ((_, *values),) = read_all(settings.warehouse_url, "SELECT * FROM users")
    assert values == ["x" * 512] * 200
    with pytest.raises(UsageError, match="had 201 attributes; allowed are 200"):
        loading.load(settings, path, mapping_of(tmp_path, 'more = { column = "c", type = "category" }'), NOW_MS)


def test_two_may_load_at_once(settings: Settings, tmp_path: Path) -> None:
    """One after the other; the view has the attributes of both."""
    path = write_rows(tmp_path / "users.csv", [(f"u{n}", "a", "1", "", "", "5") for n in range(500)])
    mappings = [
        mapping_of(tmp_path, f'{name} = {{ column = "{column}", type = "{kind}" }}', name=f"{name}.toml")
        for name, column, kind in (("one", "group", "category"), ("two", "earns", "number"))
    ]
    with Threads() as threads:
        done = threads.map(lambda mapping: loading.load(settings, path, mapping, NOW_MS), mappings)
    assert [each.values.changed for each in done] == [500, 500]
    assert set(read_all(settings.warehouse_url, "SELECT one, two FROM users")) == {("a", 1.0)}


def test_who_has_no_events_is_counted_and_loaded(settings: Settings, tmp_path: Path) -> None:
    """By the latest snapshot, and byte for byte."""
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 1)
        for users in ([b"u1", b"u3", b"u2"], [b"u1", b"U3", b"u2"]):
            snapshot(database, ends(random_log(1)), [user_row(user, (1,) * 9, (1, 1, 1)) for user in users])
    path = write_rows(tmp_path / "users.csv", ROWS)
    done = loading.load(settings, path, write_mapping(tmp_path, timed=False), NOW_MS)
    assert done.values == (2, 1, 2, 6)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_every_format(format: str, settings: Settings, tmp_path: Path) -> None:
    """Also gzipped, as far as that is usual. A number that is missing in Parquet, or null in JSON, is no value."""
    path = tmp_path / f"users.{format}{'' if format == 'parquet' else '.gz'}"
    table = pd.DataFrame({"who": ["1", "2", "3"], "c": ["a", None, "ü"], "n": [1.5, float("nan"), 3.0]})
    if format == "parquet":
        table.to_parquet(path)
    elif format == "csv":
        table.to_csv(path, index=False)
    else:
        lines = ['{"who":1,"c":"a","n":1.5}', '{"who":2,"c":null,"n":null}', '{"who":"3","c":"\\u00fc","n":3.0}']
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    own = 'c = { column = "c", type = "category" }\nn = { column = "n", type = "number" }'
    done = loading.load(settings, path, mapping_of(tmp_path, own, format), NOW_MS)
    assert (done.read, done.loaded, done.values.users) == (3, 3, 2)
    assert sorted(read_all(settings.warehouse_url, "SELECT c, n FROM users")) == [("a", 1.5), ("ü", 3.0)]


def test_a_long_file_needs_no_more_memory(tmp_path: Path) -> None:
    """Four times as many rows, and hardly more is held at once; what waits, waits in the database."""
    peaks = []
    for count in (5_000, 20_000):
        path = write_rows(tmp_path / "users.csv", ((f"u{n}", "a" * 400, "1", "", "", "5") for n in range(count)))
        settings = Settings(warehouse_url=f"sqlite:///{tmp_path}/{count}.db")
        tracemalloc.start()
        done = loading.load(settings, path, write_mapping(tmp_path, timed=True), NOW_MS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.values.users == count
    assert peaks[1] < 1.5 * peaks[0]


def test_all_attributes_as_tables_of_pandas(settings: Settings, tmp_path: Path) -> None:
    """A few users at a time, each once, by the bytes of their ids; typed, and missing where nothing is known."""
    given = [(f"u{n}", "ab"[n % 2], str(n / 2) if n % 3 else "", f"2024-01-{1 + n:02d}", "", "5") for n in range(10)]
    path = write_rows(tmp_path / "users.csv", [*given, ("U1", "", "7", "", "x|y", "5")])
    loading.load(settings, path, write_mapping(tmp_path, timed=True), NOW_MS)
    with warehouse.connect(settings) as database:
        tables = list(warehouse.read_attributes(database, users_at_a_time=4))
    assert [len(table) for table in tables] == [4, 4, 3]
    found = pd.concat(tables)
    wanted = pd.read_csv(path, parse_dates=["joined"]).rename(columns={"earns": "income"})
    wanted = wanted.assign(user_id=wanted["who"].str.encode("utf-8")).sort_values("user_id").set_index("user_id")
    wanted = wanted[["group", "income", "joined", "likes"]].astype({"joined": "datetime64[s]", "likes": "str"})
    pd.testing.assert_frame_equal(found, wanted)


def test_without_attributes_there_is_no_table_of_them(settings: Settings) -> None:
    with warehouse.connect(settings) as database:
        warehouse.migrate(database, 1)
        assert list(warehouse.read_attributes(database)) == []


def test_a_preview_needs_no_warehouse(tmp_path: Path) -> None:
    settings = Settings(warehouse_url="mysql+pymysql://nobody@127.0.0.1:1/nowhere")
    path = write_rows(tmp_path / "users.csv", [("u0", "", "x", "", "", "5"), *ROWS])
    first = loading.preview(settings, path, write_mapping(tmp_path, timed=True), NOW_MS, 1)
    assert [tuple(row) for row in first.users] == [
        (2, b"u1", {"group": "a", "income": 1.0, "joined": "2024-01-01", "likes": "x|y"}, 5_000)
    ]
    assert {reason: tally.first for reason, tally in first.refused.items()} == {"number not readable": (1,)}
