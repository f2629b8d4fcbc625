"""Rows become events as the mapping says: against a plain reading of the mapping, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.messages import Refused
from producers.recorded.conversion import Recorded, to_events, with_derived_durations
from producers.recorded.mapping import Amount, Duration, Kind, Mapping, Time
from segmenter.events import Event
from segmenter.kinds import BUILT_IN, DEFAULT
from segmenter.kinds import Kind as EventKind

Cells = dict[str, str]
ON = (*DEFAULT, BUILT_IN["purchase"])

CELLS = {
    "who": ["u1", "u1", "u2", "007", " ", "", "ü"],
    "visit": ["s1", "s2", ""],
    "what": ["shoes", "", "a,b"],
    "at": ["5", "1541595108.25", "0", "", "x", "-1", "7.9999"],
    "day": ["2018-11-07", "1969-12-31", "", "x"],
    "did": ["look", "find", "buy", "", "other"],
    "took": ["1.5", "250", "", "-1", "1.0009"],
    "price": ["2.505", "-0.005", "+3", "7.", "", "x", "1e3", "2.220446e-16", "-2.5e-3"],
    "many": ["1", "3", "-2", "", "0.5"],
    "n": ["1", "3", "x"],
    "place": ["NY", "", "\ud800"],
}
TIMES = [
    Time("at", "unix_s"),
    Time("at", "unix_ms"),
    Time("day", "iso"),
    Time("day", "%Y-%m-%d"),
    Time(("day", "n"), "%Y-%m-%d %H"),
    Time("day", "iso", order="n"),
    Time("at", "unix_ms", order="n", step_ms=-7),
]
KINDS = [
    Kind(default="view"),
    Kind("did", values={"look": "view", "find": "search"}),
    Kind("did", "click", {"look": "view", "find": "search"}),
    Kind(default="purchase"),
    Kind("did", "purchase", {"look": "view", "other": "social"}),
]
AMOUNTS = [Amount(), Amount("price"), Amount("price", "many"), Amount("price", unit="minor")]
COLUMNS = {"session_id": "visit", "query": "what", "item_id": "what", "device": "place", "url": "visit"}
CONSTANTS = {"referrer": "here", "event_id": "e1", "query": "q", "item_id": "i"}


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    columns = draw(st.sets(st.sampled_from(sorted(COLUMNS))))
    constants = draw(st.sets(st.sampled_from(sorted(CONSTANTS.keys() - columns))))
    one_per: tuple[str, ...] = draw(st.sampled_from([(), ("visit",), ("who", "visit")]))
    amount = draw(st.sampled_from(AMOUNTS))
    return Mapping(
        format="csv",
        columns={"user_id": "who"} | {name: COLUMNS[name] for name in draw(st.permutations(sorted(columns)))},
        time=draw(st.sampled_from(TIMES)),
        kind=draw(st.sampled_from(KINDS)),
        one_per=one_per,
        constants={name: CONSTANTS[name] for name in sorted(constants)},
        properties=draw(st.sampled_from([{}, {"where": "place"}, {"where": "place", "seen": "what"}])),
        duration=draw(st.sampled_from([Duration(), Duration("took"), Duration("took", "s"), Duration("took", "ms")])),
        amount=msgspec.structs.replace(amount, sum=bool(one_per and amount.column) and draw(st.booleans())),
    )


rows = st.lists(st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in CELLS.items()}), max_size=8)


def time_of(row: Cells, time: Time) -> int:
    """Milliseconds; ValueError or ArithmeticError if the cells are no time."""
    names = (time.column,) if isinstance(time.column, str) else time.column
    text = " ".join(row[name] for name in names)
    if time.format.startswith("unix"):
        moment = thousandths(text, 1_000 if time.format == "unix_s" else 1)
    else:
        read = datetime.fromisoformat(text) if time.format == "iso" else datetime.strptime(text, time.format)
        moment = int((read.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000
    return moment + (thousandths(row[time.order], 1) * time.step_ms if time.order else 0)


def thousandths(text: str, unit: int) -> int:
    number = Decimal(text) * unit
    if number < 0:
        raise ValueError(text)
    return int(number)


def amount_of(row: Cells, amount: Amount) -> Fraction | None:
    """Exactly, in the unit of the mapping; None if a cell is empty, ValueError if one is no number."""
    cells = [row[column] for column in (amount.column, amount.times) if column]
    if any("e" in cell.replace("e-", "") for cell in cells):
        raise ValueError(cells)
    numbers = [round(Fraction(cell), 9) for cell in cells if cell]
    return prod(numbers, start=Fraction(1)) if cells and len(numbers) == len(cells) else None


def converted(row: Cells, mapping: Mapping) -> tuple[str, dict[str, Any]] | set[str]:
    """The kind and the fields, or every reason why there is no event."""
    reasons = set() if row["who"] else {"no user"}
    found = mapping.kind.values.get(row["did"], mapping.kind.default) if mapping.kind.column else mapping.kind.default
    if found is None:
        reasons.add("no kind")
    elif found not in [kind.name for kind in ON]:
        reasons.add("kind not on")
    fields: dict[str, Any] = {"user_id": row["who"]} | mapping.constants
    fields |= {name: row[column] for name, column in mapping.columns.items() if row[column]}
    for name, only in (("query", ["search"]), ("item_id", ["view", "purchase"])):
        if found not in only:
            fields.pop(name, None)
    if mapping.duration.column and row["took"] and found in ("click", "view"):
        try:
            fields["duration_ms"] = thousandths(row["took"], 1_000 if mapping.duration.unit == "s" else 1)
        except ValueError:
            reasons.add("no duration")
    try:
        if found == "purchase":
            amount_of(row, mapping.amount)
    except ValueError:
        reasons.add("no amount")
    properties = {name: row[column] for name, column in mapping.properties.items() if row[column]}
    if "\ud800" in properties.values():
        reasons.add("not text")
    try:
        fields["time_ms"] = time_of(row, mapping.time)
    except (ValueError, ArithmeticError):
        reasons.add("no time")
    if properties:
        fields["properties"] = properties
    return reasons or (str(found), fields)


Outcome = tuple[str, dict[str, Any]] | set[str]


def outcomes(rows: list[Cells], mapping: Mapping) -> list[tuple[int, Outcome]]:
    """What each row becomes, in the order in which it is told: events with a sum come in the end."""
    told: list[tuple[int, Outcome]] = []
    summed_up: list[tuple[int, Outcome]] = []
    first: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}
    amounts: dict[tuple[str, ...], list[Fraction | None]] = {}
    again = f"another row of the same {' and '.join(mapping.one_per)}"
    if mapping.amount.sum:
        again = f"summed up with {again}"
    for number, row in enumerate(rows, 1):
        key = tuple(row[column] for column in mapping.one_per) if mapping.one_per else (str(number),)
        found: Outcome = {again} if key in first else converted(row, mapping)
        try:
            if mapping.amount.sum or (isinstance(found, tuple) and found[0] == "purchase"):
                amounts.setdefault(key, []).append(amount_of(row, mapping.amount))
        except ValueError:
            found = {"no amount"}
        if isinstance(found, tuple):
            first[key] = found
        (summed_up if mapping.amount.sum and isinstance(found, tuple) else told).append((number, found))
    for key, (kind, fields) in first.items():
        given = [amount for amount in amounts.get(key, []) if amount is not None]
        if kind == "purchase" and given:
            fields["amount"] = round(sum(given, Fraction(0)) * (100 if mapping.amount.unit == "major" else 1))
    return told + summed_up


def named(event: Event) -> dict[str, Any]:
    """The fields that are there."""
    fields = msgspec.structs.asdict(event)
    fields["properties"] = msgspec.json.decode(fields["properties"]) if bytes(fields["properties"]) else None
    return {name: value for name, value in fields.items() if value is not None}


@settings(max_examples=400)
@given(mappings(), rows)
def test_rows_become_the_events_that_the_mapping_says(mapping: Mapping, rows: list[Cells]) -> None:
    needed = mapping.needed()
    given = [(number, tuple(row[column] for column in needed)) for number, row in enumerate(rows, 1)]
    for found, (number, wanted) in zip(to_events(iter(given), mapping, ON), outcomes(rows, mapping), strict=True):
        assert found.row == number
        if isinstance(wanted, set):
            assert isinstance(found, Refused) and found.reason in wanted
            if "another row" in found.reason:
                assert found.detail == " ".join(rows[number - 1][column] for column in mapping.one_per)
        else:
            assert isinstance(found, Recorded)
            assert (found.kind.name, named(found.event)) == wanted


def test_the_columns_that_are_needed_are_all_that_are_named_each_once() -> None:
    mapping = Mapping(
        "csv",
        {"user_id": "a", "query": "b", "item_id": "b"},
        Time(("c", "d"), "%Y %m", order="e"),
        Kind("f", values={"x": "view"}),
        one_per=("g", "a"),
        properties={"p": "h"},
        duration=Duration("i"),
        amount=Amount("j", "k"),
    )
    assert sorted(mapping.needed()) == list("abcdefghijk")
    assert set(mapping.uses()) == {
        ("columns.user_id", "a"),
        ("columns.query", "b"),
        ("columns.item_id", "b"),
        ("time.column", "c"),
        ("time.column", "d"),
        ("time.order", "e"),
        ("kind.column", "f"),
        ("one_per", "g"),
        ("one_per", "a"),
        ("properties.p", "h"),
        ("duration.column", "i"),
        ("amount.column", "j"),
        ("amount.times", "k"),
    }
    plain = Mapping("csv", {"user_id": "a"}, Time("b", "iso"), Kind(default="view"))
    assert plain.needed() == ["a", "b"]


LONG = "x" * 200
ESCAPE = "\ud800"
REFUSED: dict[str, tuple[Mapping, Cells, str]] = {
    "no user": (Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0]), {"who": "", "at": "5"}, "who is empty"),
    "no kind": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[1]),
        {"who": "u", "at": "5", "did": LONG},
        f"did is '{LONG[:80]}', which [kind.values] does not list",
    ),
    "no time": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0]),
        {"who": "u", "at": LONG},
        f"'{LONG[:80]}' is not a number of 0 or more",
    ),
    "not text": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0], properties={"p": "place"}),
        {"who": "u", "at": "5", "place": ESCAPE},
        "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
    ),
    "no duration": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0], duration=Duration("took")),
        {"who": "u", "at": "5", "took": "-1"},
        "took: '-1' is not a number of 0 or more",
    ),
    "no amount": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], Kind(default="purchase"), amount=Amount("price")),
        {"who": "u", "at": "5", "price": LONG},
        f"'{LONG[:80]}' is not a number such as 12.50 or -3",
    ),
    "kind not on": (
        Mapping("csv", {"user_id": "who"}, TIMES[0], Kind(default="social")),
        {"who": "u", "at": "5"},
        "SEGMENTER_KINDS=click,search,view,purchase,social turns social on",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_says_what_was_found_and_at_most_the_beginning_of_it(reason: str) -> None:
    mapping, row, says = REFUSED[reason]
    found = list(to_events([(9, tuple(row[column] for column in mapping.needed()))], mapping, ON))
    assert found == [Refused(9, reason, says)]


def test_a_key_of_one_event_is_shown_by_its_beginning() -> None:
    mapping = Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0], one_per=("who", "at"))
    cells = tuple({"who": LONG, "at": "5"}[column] for column in mapping.needed())
    _, refused = to_events([(1, cells), (2, cells)], mapping, ON)
    assert refused == Refused(2, "another row of the same who and at", LONG[:80])


@pytest.mark.parametrize("amount", [Amount(), Amount("n", sum=True)])
def test_what_cannot_be_read_stays_refused(amount: Amount) -> None:
    """And takes no key from a row that can."""
    mapping = Mapping("csv", {"user_id": "who"}, TIMES[0], KINDS[0], amount=amount, one_per=("who",))
    rows = [tuple({"who": "u", "at": at, "n": "2"}[column] for column in mapping.needed()) for at in ("x", "5")]
    unread = Refused(1, "not a row", "")
    found = list(to_events([unread, (2, rows[0]), (3, rows[1])], mapping, ON))
    assert found[0] is unread and found[1] == Refused(2, "no time", found[1].detail) and "x" in found[1].detail
    assert [type(each) for each in found] == [Refused, Refused, Recorded]


event = st.builds(
    lambda user, session, time, kind: (kind, Event(user, time, session_id=session)),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from([None, "", "s1", "s2"]),
    st.integers(0, 9),
    st.sampled_from(ON),
)


@given(st.lists(event, max_size=12), st.integers(1, 6))
def test_a_derived_duration_is_the_time_to_the_next_of_the_session(
    drawn: list[tuple[EventKind, Event]], cap: int
) -> None:
    """Found by looking for it: the next later one, of those at the same time the next in the file."""
    events = [Recorded(number, *each) for number, each in enumerate(drawn)]
    for before, after in zip(events, with_derived_durations(events, cap), strict=True):
        own = before.event
        later = [
            (other.event.time_ms, other.row)
            for other in events
            if (other.event.user_id, other.event.session_id) == (own.user_id, own.session_id)
            and (other.event.time_ms, other.row) > (own.time_ms, before.row)
        ]
        lasting = None
        if own.session_id and before.kind.measure == "duration" and later:
            lasting = min(min(later)[0] - own.time_ms, cap)
        assert after == before._replace(event=msgspec.structs.replace(own, duration_ms=lasting))
