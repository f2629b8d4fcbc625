"""A wrong mapping is one line that names the file, the key and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from producers.recorded import readers
from producers.recorded.mapping_file import check_columns, load
from segmenter.errors import MappingError

MappingFile = Callable[..., Path]

WRONG = {
    "unknown table key": ([('column = "at"', 'colum = "at"')], ["[time]", "'colum'", "Did you mean 'column'?"]),
    "unknown top key": ([("[columns]", "sepperator = ';'\n[columns]")], ["'sepperator'", "Did you mean 'separator'?"]),
    "unknown field": ([("user_id", "userid")], ["'userid'", "user_id, event_id", "Did you mean 'user_id'?"]),
    "no user": ([('user_id = "who"', "")], ["[columns] needs user_id"]),
    "unknown format": ([('"csv"', '"excel"')], ["excel", "$.format"]),
    "wrong type": ([('"unix_s"', "3")], ["Expected str", "$.time.format"]),
    "missing table": ([('[time]\ncolumn = "at"\nformat = "unix_s"', "")], ["required field time"]),
    "unknown kind": ([('"view"', '"vieww"')], ["'vieww'", "click, search, view", "Did you mean 'view'?"]),
    "unknown default": ([('"click"', '"tap"')], ["[kind] default is 'tap'", "click, search, view"]),
    "kind of nothing": ([('column = "did"', "")], ["[kind] needs a column with values"]),
    "no values": ([('values = { look = "view", find = "search" }', "")], ["names a column but no values"]),
    "unknown time": ([('"unix_s"', '"unixs"')], ["'unixs'", "unix_s, unix_ms, iso", "Did you mean 'unix_s'?"]),
    "bad pattern": ([('"unix_s"', '"%Q"')], ["[time] format", "'Q' is a bad directive"]),
    "no time column": ([('column = "at"', "column = []")], ["[time] column names no column"]),
    "both durations": (
        [("[kind]", '[duration]\ncolumn = "took"\nderive = "next_event"\n[kind]')],
        ["[duration] has a column and derive"],
    ),
    "no session": (
        [('session_id = "visit"', ""), ("[kind]", '[duration]\nderive = "next_event"\n[kind]')],
        ["needs [columns] session_id"],
    ),
    "no cap": ([("[kind]", "[duration]\ncap_s = 0\n[kind]")], ["cap_s is 0", "1 to 86400"]),
    "both sources": ([("[time]", '[constants]\nitem_id = "x"\n[time]')], ["item_id is in [columns] and in [const"]),
    "long separator": ([('"csv"', '"csv"\nseparator = "::"')], ["separator must be one character"]),
    "unknown encoding": ([('"csv"', '"csv"\nencoding = "utf-9"')], ["'utf-9' is unknown"]),
    "not TOML": ([("[columns]", "[columns")], ["is not TOML"]),
    "too many digits": ([('"unix_s"', '"unix_s"\nstep_ms = ' + "9" * 5_000)], ["is not TOML", "4300 digits"]),
    "beyond 64 bits": ([('"unix_s"', '"unix_s"\nstep_ms = 0x' + "f" * 5_000)], ["Expected int <= 9223372036854775807"]),
    "nested without end": ([('"csv"', '"csv"\nseparator = ' + "[" * 5_000)], ["is not TOML", "recursion"]),
    "a directive twice": ([('"unix_s"', '"%d %d"')], ["[time] format is not a strptime pattern", "redefinition"]),
    "a bad pattern that talks": ([('"unix_s"', '"%Q does not match"')], ["[time] format", "'Q' is a bad directive"]),
    "encoding that refuses": ([('"csv"', '"csv"\nencoding = "undefined"')], ["'undefined' is unknown"]),
    "encoding with a NUL": ([('"csv"', '"csv"\nencoding = "utf\\u0000"')], [r"'utf\x00' is unknown"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_mapping_says_what_is_wrong(case: str, mapping_file: MappingFile) -> None:
    replacements, words = WRONG[case]
    path = mapping_file(*replacements)
    with pytest.raises(MappingError) as caught:
        load(path)
    message = str(caught.value)
    assert all(word in message for word in [str(path), *words]), message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_missing_mapping_says_so(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"cannot read .*none\.toml: No such file"):
        load(tmp_path / "none.toml")


def test_a_column_that_the_file_lacks_is_named_with_the_nearest(mapping_file: MappingFile, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("who,visits,what,at,did\n")
    path = mapping_file()
    mapping = load(path)
    with pytest.raises(MappingError) as caught:
        check_columns(mapping, path, file, readers.columns(file, mapping))
    expected = ["columns.session_id", "'visit'", str(file), "who, visits, what, at, did", "Did you mean 'visits'?"]
    assert all(word in str(caught.value) for word in expected), caught.value


def test_columns_that_cannot_be_printed_stay_on_one_line(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    with pytest.raises(MappingError, match=r"columns are at, 'wh\\no', '\\udcff'\."):
        check_columns(load(path), path, tmp_path / "x.csv", ["at", "wh\no", "\udcff"])


def test_a_column_that_occurs_twice_is_refused(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    with pytest.raises(MappingError, match=r"names 'who', of which .* has 2"):
        check_columns(load(path), path, tmp_path / "x.csv", ["who", "who", "visit", "what", "at", "did"])


def test_the_shipped_mappings_are_right() -> None:
    shipped = sorted((Path(__file__).parents[2] / "examples" / "mappings").glob("*.toml"))
    assert len(shipped) == 4
    for path in shipped:
        load(path)
