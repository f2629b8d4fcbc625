"""Recorded files of every format become the same events, and what cannot is refused by reason."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from producers.messages import Message, Refused
from producers.recorded import replay
from producers.recorded.conversion import Recorded
from producers.recorded.mapping_file import load
from producers.recorded.replay import ReplayOptions
from segmenter.errors import MappingError, UsageError
from segmenter.events import Rules
from segmenter.kinds import DEFAULT

MappingFile = Callable[..., Path]
NAMES = ("who", "visit", "what", "at", "did")
IDS = [
    "Bob",
    "bob",
    "bób",
    '"bob "',
    "007",
    "7",
    "17850.0",
    "1e5",
    "-0",
    "🦉",
    "NA",
    "null",
    "nan",
    "None",
    "a,b",
    "x\x00y",
]
RULES = Rules(partitions=4)
NOW_MS = 1_800_000_000_000

Rows = Sequence[tuple[str, ...]]


def write(path: Path, rows: Rows, names: tuple[str, ...] = NAMES) -> Path:
    """The rows as the file's name says: .csv, .jsonl or .parquet, gzipped with .gz behind it."""
    if ".parquet" in path.name:
        columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        plain = path.parent / "plain"
        pyarrow.parquet.write_table(pyarrow.table(columns), plain)
        data = plain.read_bytes()
    elif ".jsonl" in path.name:
        data = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows).encode()
    else:
        with (path.parent / "plain").open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([names, *rows])
        data = (path.parent / "plain").read_bytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def replayed(
    file: Path, mapping: Path, options: ReplayOptions | None = None
) -> tuple[list[tuple[str, Any]], list[Refused]]:
    """The (topic, value) of each message, and what was refused."""
    found = list(replay.messages(file, mapping, RULES, NOW_MS, options or ReplayOptions()))
    messages = [each for each in found if isinstance(each, Message)]
    assert all(each.key == json.loads(each.value or b"")["user_id"].encode() for each in messages)
    refused = [each for each in found if isinstance(each, Refused)]
    return [(each.topic, json.loads(each.value or b"")) for each in messages], refused


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.jsonl", "e.jsonl.gz", "e.parquet", "e.parquet.gz"])
def test_every_format_keeps_every_id_as_it_stands(name: str, mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [(user, "s1", "shoes", "1541595108", "find") for user in IDS]
    events, refused = replayed(write(tmp_path / name, rows), mapping_file(("csv", name.split(".")[1])))
    assert refused == []
    assert events == [
        ("searches", {"user_id": user, "time_ms": 1_541_595_108_000, "session_id": "s1", "query": "shoes"})
        for user in IDS
    ]


def test_numbers_of_json_lines_stay_as_they_are_written(mapping_file: MappingFile, tmp_path: Path) -> None:
    lines = [f'{{"who": {user}, "at": 1541595108.25, "did": null}}' for user in ("17850.0", "7", "1e5", "-0", "true")]
    (tmp_path / "e.jsonl").write_text("\n".join([*lines, '{"visit": "s", "what": "w"}']))
    events, refused = replayed(tmp_path / "e.jsonl", mapping_file(("csv", "jsonl")))
    assert [value["user_id"] for _, value in events] == ["17850.0", "7", "1e5", "-0", "true"]
    assert {value["time_ms"] for _, value in events} == {1_541_595_108_250}
    assert [each.reason for each in refused] == ["no user"]


def test_numbers_of_parquet_become_text(mapping_file: MappingFile, tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "who": [17850.0, None, float("nan")],
            "visit": [2**62] * 3,
            "what": ["w"] * 3,
            "at": [5] * 3,
            "did": ["look"] * 3,
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "e.parquet")
    events, refused = replayed(tmp_path / "e.parquet", mapping_file(("csv", "parquet")))
    expected = {"user_id": "17850.0", "time_ms": 5_000, "session_id": str(2**62), "item_id": "w"}
    assert events == [("views", expected)]
    assert [(each.row, each.reason) for each in refused] == [(2, "no user"), (3, "no user")]


def test_fields_reach_their_kind_only_and_empty_cells_are_absent(mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [
        ("u", "", "a7", "5", "look"),
        ("u", "", "a7", "5", "find"),
        ("u", "", "a7", "5", "like"),
        ("u", "", "", "5", "look"),
    ]
    events, _ = replayed(write(tmp_path / "e.csv", rows), mapping_file())
    user = {"user_id": "u", "time_ms": 5_000}
    assert events == [
        ("views", {**user, "item_id": "a7"}),
        ("searches", {**user, "query": "a7"}),
        ("clickstream", user),
        ("views", user),
    ]


def test_constants_properties_and_a_duration_column(mapping_file: MappingFile, tmp_path: Path) -> None:
    tables = (
        '[constants]\ndevice = "till"\n[properties]\nseen = "what"\n[duration]\ncolumn = "visit"\nunit = "s"\n[time]'
    )
    rows = [
        ("u", "1.5", "a7", "5", "look"),
        ("u", "", "", "5", "find"),
        ("u", "-1", "", "5", "like"),
        ("u", "-1", "", "5", "find"),
    ]
    events, refused = replayed(
        write(tmp_path / "e.csv", rows), mapping_file(("[time]", tables), ('item_id = "what"\nquery = "what"', ""))
    )
    user = {"user_id": "u", "time_ms": 5_000, "device": "till"}
    assert events == [
        ("views", {**user, "session_id": "1.5", "duration_ms": 1_500, "properties": {"seen": "a7"}}),
        ("searches", user),
        ("searches", {**user, "session_id": "-1"}),
    ]
    assert [(each.row, each.reason) for each in refused] == [(3, "no duration")]


def test_rows_that_cannot_become_an_event_are_refused_by_reason(mapping_file: MappingFile, tmp_path: Path) -> None:
    good = "u,s,w,5,look\n"
    lines = [
        "who,visit,what,at,did\n",
        good,
        ",s,w,5,look\n",
        "u,s,w,yesterday,look\n",
        "u,s,w,,look\n",
        "u,s,w,5,dance\n",
        "u,s,w\n",
        "\n",
        "u,s,w,5,look,more\n",
        f"{'u' * 129},s,w,5,look\n",
        "u,s,w,32503680000,look\n",
        f"u,s,{'w' * 300_000},5,find\n",
        good,
    ]
    (tmp_path / "e.csv").write_bytes("".join(lines).encode() + b"u\xff,s,w,5,look\n")
    events, refused = replayed(tmp_path / "e.csv", mapping_file(('default = "click"', "")))
    assert len(events) == 2
    assert [(each.row, each.reason) for each in refused] == [
        (2, "no user"),
        (3, "no time"),
        (4, "no time"),
        (5, "no kind"),
        (6, "not a row"),
        (7, "not a row"),
        (8, "invalid"),
        (9, "time_ahead"),
        (10, "too_large"),
        (12, "not text"),
    ]


def test_lines_that_are_not_json_objects_are_refused(mapping_file: MappingFile, tmp_path: Path) -> None:
    good = b'{"who":"u","visit":"s","what":"w","at":5,"did":"look"}\n'
    bad = [
        b"not JSON\n",
        b"[1]\n",
        b'{"who": "\\ud800", "at": 5}\n',
        b'{"who": "\xff", "at": 5}\n',
        b"[" * 5_000 + b"\n",
    ]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join([good, *bad, good]))
    events, refused = replayed(tmp_path / "e.jsonl", mapping_file(("csv", "jsonl")))
    assert len(events) == 2
    assert [(each.row, each.reason) for each in refused] == [(row, "not a row") for row in range(2, 7)]


def test_other_encodings_separators_and_byte_order_marks(mapping_file: MappingFile, tmp_path: Path) -> None:
    text = "who;visit;what;at;did\nbób;s;w;5;look\n"
    more = "separator = ';'\n"
    for encoding, said in (("utf-8-sig", "utf-8"), ("iso-8859-2", "iso-8859-2"), ("utf-16", "utf-16")):
        (tmp_path / "e.csv").write_text(text, encoding)
        events, _ = replayed(tmp_path / "e.csv", mapping_file(more=f"{more}encoding = '{said}'\n"))
        assert [value["user_id"] for _, value in events] == ["bób"]


def test_one_event_per_key_is_the_first_row_that_can_become_one(mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [("", "i1", "", "5", "x"), ("u", "i1", "", "6", "x"), ("u", "i1", "", "7", "x"), ("u", "i2", "", "8", "x")]
    events, refused = replayed(write(tmp_path / "e.csv", rows), mapping_file(more='one_per = ["visit"]\n'))
    assert [value["time_ms"] for _, value in events] == [6_000, 8_000]
    assert [(each.row, each.reason) for each in refused] == [(1, "no user"), (3, "another row of the same visit")]


def test_a_day_and_the_order_within_it_make_a_time(mapping_file: MappingFile, tmp_path: Path) -> None:
    names = ("who", "visit", "what", "did", "year", "month", "day", "n")
    rows = [("u", "", "", "", "2008", "4", "1", order) for order in ("1", "2", "x")]
    when = 'column = ["year", "month", "day"]\norder = "n"\nstep_ms = 60_000\nformat = "%Y %m %d"'
    mapping = mapping_file(('column = "at"\nformat = "unix_s"', when))
    events, refused = replayed(write(tmp_path / "e.csv", rows, names), mapping)
    assert [value["time_ms"] for _, value in events] == [1_207_008_060_000, 1_207_008_120_000]
    assert [each.reason for each in refused] == ["no time"]


DERIVE = ("[kind]", '[duration]\nderive = "next_event"\ncap_s = 60\n[kind]')


def test_a_derived_duration_lasts_until_the_next_event_of_the_session(
    mapping_file: MappingFile, tmp_path: Path
) -> None:
    rows = [
        ("u", "s1", "", "30", "look"),  # the next is 90 s later: capped
        ("u", "s1", "", "10", "find"),  # a search has no duration, but ends the one before
        ("u", "s1", "", "5", "look"),
        ("u", "s1", "", "120", "look"),  # the last of its session
        ("v", "s1", "", "6", "look"),  # the same session id of another user
        ("u", "s2", "", "12", "like"),
        ("u", "s2", "", "12", "like"),
        ("u", "", "", "13", "look"),  # no session
        ("u", "", "", "14", "look"),
    ]
    events, _ = replayed(write(tmp_path / "e.csv", rows), mapping_file(DERIVE))
    assert [value.get("duration_ms") for _, value in events] == [60_000, None, 5_000, None, None, 0, None, None, None]


def test_limit_reads_the_first_rows_only(mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [("", "s", "", "1", "x"), *[("u", "s", "", str(at), "x") for at in range(2, 9)]]
    events, refused = replayed(write(tmp_path / "e.csv", rows), mapping_file(), ReplayOptions(limit=4))
    assert [value["time_ms"] for _, value in events] == [2_000, 3_000, 4_000]
    assert len(refused) == 1


def test_rebase_moves_the_newest_event_to_now_and_all_others_alike(mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [("u", "s", "", at, "x") for at in ("100", "400", "300")]
    events, _ = replayed(write(tmp_path / "e.csv", rows), mapping_file(), ReplayOptions(newest_ms=NOW_MS))
    assert [value["time_ms"] - NOW_MS for _, value in events] == [-300_000, 0, -100_000]


def test_a_paced_replay_is_in_time_order_and_never_early(mapping_file: MappingFile, tmp_path: Path) -> None:
    rows = [("u", "s", str(at), str(at), "find") for at in (30, 10, 20, 10)]
    mapping = mapping_file()
    found = replay.in_time_order(replay.events(write(tmp_path / "e.csv", rows), load(mapping, DEFAULT), DEFAULT))
    began, seen = time.monotonic(), []
    for each in replay.paced(found, speed=100):
        assert isinstance(each, Recorded)
        seen.append(each.row)
        assert time.monotonic() - began >= (each.event.time_ms - 10_000) / 1_000 / 100
    assert seen == [2, 4, 3, 1]


def test_without_a_column_nothing_is_published(mapping_file: MappingFile, tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", [("u",)], ("who",))
    with pytest.raises(MappingError, match=r"which .*csv does not have"):
        replay.messages(file, mapping_file(), RULES, NOW_MS, ReplayOptions())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("none.csv", None),
        ("empty.csv", b""),
        ("not.csv.gz", b"who,visit"),
        ("cut.csv.gz", gzip.compress(b"who,visit" * 1_000, mtime=0)[:20]),
        ("not.parquet", b"who,visit"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    name: str, data: bytes | None, mapping_file: MappingFile, tmp_path: Path
) -> None:
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    mapping = mapping_file(("csv", "parquet")) if "parquet" in name else mapping_file()
    with pytest.raises(UsageError) as caught:
        replay.messages(file, mapping, RULES, NOW_MS, ReplayOptions())
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
