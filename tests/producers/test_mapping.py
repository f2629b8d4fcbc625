"""A wrong mapping is one line that names the file, the key and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.recorded import readers
from producers.recorded.mapping import Amount, Duration, Kind, Mapping, Time
from producers.recorded.mapping_file import check_columns, load
from segmenter.errors import MappingError
from segmenter.kinds import DEFAULT

MappingFile = Callable[..., Path]

WRONG = {
    "unknown table key": ([('column = "at"', 'colum = "at"')], ["[time]", "'colum'", "Did you mean 'column'?"]),
    "unknown key of a kind": ([('column = "did"', 'columns = "did"')], ["[kind] has no key 'columns'", "'column'?"]),
    "unknown key of a duration": (
        [("[kind]", "[duration]\ncap = 5\n[kind]")],
        ["[duration] has no key 'cap'", "'cap_s'?"],
    ),
    "unknown key of an amount": (
        [("[kind]", '[amount]\ncolum = "price"\n[kind]')],
        ["[amount] has no key 'colum'", "'column'?"],
    ),
    "unknown unit": ([("[kind]", '[amount]\nunit = "cents"\n[kind]')], ["cents", "$.amount.unit"]),
    "a product of nothing": ([("[kind]", '[amount]\ntimes = "many"\n[kind]')], ["[amount] needs a column"]),
    "a sum of nothing": (
        [("[columns]", 'one_per = ["visit"]\n[columns]'), ("[kind]", "[amount]\nsum = true\n[kind]")],
        ["[amount] needs a column"],
    ),
    "a sum over nothing": (
        [("[kind]", '[amount]\ncolumn = "price"\nsum = true\n[kind]')],
        ["[amount] sum needs one_per"],
    ),
    "a text for a table": ([('"csv"', '"csv"\nduration = "took"')], ["Expected object, got str - at $.duration"]),
    "a number for a table": ([('"csv"', '"csv"\nduration = 5')], ["Expected object, got int - at $.duration"]),
    "unknown top key": (
        [("[columns]", "sepperator = ';'\n[columns]")],
        [": has no key 'sepperator'; allowed are format, columns,", "Did you mean 'separator'?"],
    ),
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
        load(path, DEFAULT)
    message = str(caught.value)
    assert all(word in message for word in [str(path), *words]), message
    assert re.fullmatch(re.escape(str(path)) + r"(: | is )[^X\n]*[.?]", message), message
    assert caught.value.exit_code == 2


ADVISED = {
    "no user": ([('user_id = "who"', "")], 'whose event it is, as in user_id = "customer".'),
    "kind of nothing": ([('column = "did"', "")], "or a default for all rows: the name of a kind."),
    "no values": (
        [('values = { look = "view", find = "search" }', "")],
        "add [kind.values], which say what each value means.",
    ),
    "no session": (
        [('session_id = "visit"', ""), ("[kind]", '[duration]\nderive = "next_event"\n[kind]')],
        "only the next event of the same session gives a duration.",
    ),
    "unknown time": ([('"unix_s"', '"at noon"')], "or a strptime pattern such as '%Y-%m-%d %H:%M:%S'."),
    "unknown encoding": ([('"csv"', '"csv"\nencoding = "x"')], "such as utf-8, latin-1 or utf-16."),
    "wrong type": ([('"unix_s"', "3")], "at $.time.format. See examples/mappings/ for whole mappings."),
    "both sources": ([("[time]", '[constants]\nquery = "x"\n[time]')], "and in [constants]; keep one of them."),
}  # fmt: skip


@pytest.mark.parametrize("case", ADVISED)
def test_a_wrong_mapping_says_how_it_would_be_right(case: str, mapping_file: MappingFile) -> None:
    replacements, advice = ADVISED[case]
    with pytest.raises(MappingError) as caught:
        load(mapping_file(*replacements), DEFAULT)
    assert str(caught.value).endswith(advice)


def test_a_missing_mapping_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        MappingError, match=r"^cannot read .*none\.toml: No such file or directory\. --mapping needs a TOML file\.$"
    ):
        load(tmp_path / "none.toml", DEFAULT)


def test_a_column_that_the_file_lacks_is_named_with_the_nearest(mapping_file: MappingFile, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("who,visits,what,at,did\n")
    path = mapping_file()
    mapping = load(path, DEFAULT)
    with pytest.raises(MappingError) as caught:
        check_columns(mapping, path, file, readers.columns(file, mapping))
    expected = ["columns.session_id", "'visit'", str(file), "who, visits, what, at, did", "Did you mean 'visits'?"]
    assert all(word in str(caught.value) for word in expected), caught.value


def test_columns_that_cannot_be_printed_stay_on_one_line(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    with pytest.raises(MappingError, match=r"columns are at, 'wh\\no', '\\udcff'\."):
        check_columns(load(path, DEFAULT), path, tmp_path / "x.csv", ["at", "wh\no", "\udcff"])


def test_a_column_that_occurs_twice_is_refused(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    with pytest.raises(MappingError, match=r"names 'who', of which .* has 2"):
        check_columns(load(path, DEFAULT), path, tmp_path / "x.csv", ["who", "who", "visit", "what", "at", "did"])


def test_the_shipped_mappings_are_right() -> None:
    shipped = sorted((Path(__file__).parents[2] / "examples" / "mappings").glob("*.toml"))
    of_users = [path for path in shipped if "\n[attributes]" in path.read_text("utf-8")]
    assert (len(shipped), len(of_users)) == (6, 1)
    for path in shipped:
        if path not in of_users:
            load(path, DEFAULT)


WHOLE = """
format = "jsonl"
separator = "|"
encoding = "latin-1"
one_per = ["a", "b"]
[columns]
user_id = "u"
session_id = "s"
event_id = "e"
url = "l"
[constants]
device = "till"
referrer = "r"
item_id = "i"
query = "q"
[properties]
"any name" = "p"
[time]
column = ["d", "t"]
format = "%d.%m.%y %H:%M"
order = "n"
step_ms = -5
[kind]
column = "k"
default = "search"
values = { "a b" = "click", v = "view" }
[duration]
unit = "s"
derive = "next_event"
cap_s = 86_400
[amount]
column = "p"
times = "m"
unit = "minor"
sum = true
"""


def test_every_key_of_a_mapping_is_read(tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE, "utf-8")
    assert load(path, DEFAULT) == Mapping(
        "jsonl",
        {"user_id": "u", "session_id": "s", "event_id": "e", "url": "l"},
        Time(("d", "t"), "%d.%m.%y %H:%M", "n", -5),
        Kind("k", "search", {"a b": "click", "v": "view"}),
        "|",
        "latin-1",
        ("a", "b"),
        {"device": "till", "referrer": "r", "item_id": "i", "query": "q"},
        {"any name": "p"},
        Duration(None, "s", "next_event", 86_400),
        Amount("p", "m", "minor", sum=True),
    )


def test_the_kinds_of_a_mapping_are_those_that_rows_may_become(mapping_file: MappingFile) -> None:
    """Each once, the default first."""
    time = Time("at", "iso")
    values = {"a": "view", "b": "search", "c": "view", "d": "click"}
    assert Mapping("csv", {}, time, Kind("did", "click", values)).kinds() == ["click", "view", "search"]
    assert Mapping("csv", {}, time, Kind("did", None, values)).kinds() == ["view", "search", "click"]
    assert Mapping("csv", {}, time, Kind(default="purchase")).kinds() == ["purchase"]


def test_what_a_mapping_does_not_say_is_as_documented(mapping_file: MappingFile) -> None:
    small = load(mapping_file(), DEFAULT)
    assert (small.separator, small.encoding, small.one_per) == (",", "utf-8", ())
    assert (small.constants, small.properties, small.duration) == ({}, {}, Duration(None, "ms", None, 1_800))
    assert small.time == Time("at", "unix_s", None, 1_000)
    assert small.amount == Amount(None, None, "major", sum=False)


RIGHT = {
    "milliseconds": [('"unix_s"', '"unix_ms"')],
    "iso": [('"unix_s"', '"iso"')],
    "a pattern": [('"unix_s"', '"%Y"')],
    "a pattern with words": [('"unix_s"', '"at %H"')],
    "a pattern of a sign": [('"unix_s"', '"%%"')],
    "one kind": [('column = "did"', ""), ('values = { look = "view", find = "search" }', "")],
    "no default": [('default = "click"', "")],
    "a duration": [("[kind]", '[duration]\ncolumn = "took"\n[kind]')],
    "a kind that is not on": [('default = "click"', 'default = "purchase"')],
    "an amount": [("[kind]", '[amount]\ncolumn = "price"\n[kind]')],
    "the least cap": [("[kind]", "[duration]\ncap_s = 1\n[kind]")],
    "the greatest cap": [("[kind]", "[duration]\ncap_s = 86400\n[kind]")],
    "tabs": [('"csv"', '"csv"\nseparator = "\\t"')],
    "parquet": [('"csv"', '"parquet"')],
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_mapping_is_taken(case: str, mapping_file: MappingFile) -> None:
    assert load(mapping_file(*RIGHT[case]), DEFAULT).columns["user_id"] == "who"


@pytest.mark.parametrize("cap", [-1, 86_401])
def test_a_duration_is_capped_within_a_day(cap: int, mapping_file: MappingFile) -> None:
    with pytest.raises(MappingError, match=f"cap_s is {cap}; allowed are 1 to 86400 seconds"):
        load(mapping_file(("[kind]", f"[duration]\ncap_s = {cap}\n[kind]")), DEFAULT)


def test_a_file_without_columns_is_perhaps_empty(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    with pytest.raises(MappingError) as caught:
        check_columns(load(path, DEFAULT), path, tmp_path / "x.csv", [])
    expected = f"names 'who', which {tmp_path / 'x.csv'} does not have. Its columns are none: is it empty?."
    assert str(caught.value) == f"{path}: columns.user_id {expected}"


def test_columns_that_are_there_are_right_in_any_order(mapping_file: MappingFile, tmp_path: Path) -> None:
    path = mapping_file()
    check_columns(load(path, DEFAULT), path, tmp_path / "x.csv", ["did", "more", "at", "what", "more", "visit", "who"])
