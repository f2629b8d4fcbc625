"""Conversion: the cells of a row become an event, as a mapping says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import groupby, pairwise
from math import prod
from typing import Any, NamedTuple

import msgspec

from producers.messages import Refused
from producers.recorded import amounts, times
from producers.recorded.mapping import Mapping
from producers.recorded.readers import Row
from segmenter.events import Event, type_of
from segmenter.kinds import SUBJECTS, Kind

Cells = tuple[str, ...]


class Recorded(NamedTuple):
    """One event of a file: the row it comes from, its kind, and itself."""

    row: int
    kind: Kind
    event: Event


def to_events(rows: Iterable[Row | Refused], mapping: Mapping, kinds: tuple[Kind, ...]) -> Iterator[Recorded | Refused]:
    """The event of each row, or why it is refused. With ``one_per``, later rows with the same key are refused.

    If their amounts are to be summed up, all events come in the end, each with the sum of all rows of its key.
    """
    convert, amount_of, summing = _converter(mapping, kinds), _amount_reader(mapping), mapping.amount.sum
    at = [mapping.needed().index(column) for column in mapping.one_per]
    again = f"another row of the same {' and '.join(mapping.one_per)}"
    first: dict[Cells, Recorded | None] = {}
    totals: dict[Cells, Decimal] = {}
    for row in rows:
        if isinstance(row, Refused):
            yield row
            continue
        number, cells = row
        key = tuple([cells[each] for each in at])
        try:
            if summing and (amount := amount_of(cells)) is not None:
                totals[key] = totals.get(key, Decimal(0)) + amount
            if key in first:
                yield Refused(number, f"summed up with {again}" if summing else again, " ".join(key)[:80])
                continue
            recorded = Recorded(number, *convert(cells))
            if not summing and recorded.kind.measure == "amount":
                recorded = _worth(recorded, amount_of(cells), mapping)
        except _Unfit as unfit:
            yield Refused(number, unfit.reason, unfit.detail)
            continue
        if key:
            first[key] = recorded if summing else None
        if not summing:
            yield recorded
    for key, kept in first.items():
        if kept is not None:
            yield _worth(kept, totals.get(key), mapping)


def _worth(recorded: Recorded, amount: Decimal | None, mapping: Mapping) -> Recorded:
    if amount is None or recorded.kind.measure != "amount":
        return recorded
    priced = msgspec.structs.replace(recorded.event, amount=amounts.minor_units(amount, mapping.amount.unit))
    return recorded._replace(event=priced)


def with_derived_durations(events: list[Recorded], cap_ms: int) -> Iterator[Recorded]:
    """The same events, those that measure a duration lasting until the next event of the session, at most ``cap_ms``.

    The last event of a session and events without a session get no duration. The order of the events stays.
    """
    order = sorted(range(len(events)), key=lambda at: _in_session(events[at]))
    lasting: dict[int, int] = {}
    for (_, session), group in groupby(order, key=lambda at: _in_session(events[at])[:2]):
        visit = list(group) if session else []
        for at, following in pairwise(visit):
            lasting[at] = min(events[following].event.time_ms - events[at].event.time_ms, cap_ms)
    for at, each in enumerate(events):
        if at in lasting and each.kind.measure == "duration":
            yield each._replace(event=msgspec.structs.replace(each.event, duration_ms=lasting[at]))
        else:
            yield each


def _in_session(each: Recorded) -> tuple[str, str, int, int]:
    return each.event.user_id, each.event.session_id or "", each.event.time_ms, each.row


class _Unfit(Exception):
    """A row that cannot become an event."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def _converter(mapping: Mapping, kinds: tuple[Kind, ...]) -> Callable[[Cells], tuple[Kind, Event]]:
    """A function from the cells of a row to (kind, event), the amount still missing. Raises `_Unfit`."""
    index = mapping.needed().index
    user_at = index(mapping.columns["user_id"])
    texts = [(field, index(column)) for field, column in mapping.columns.items() if field != "user_id"]
    constants = list(mapping.constants.items())
    properties = [(name, index(column)) for name, column in mapping.properties.items()]
    time_of, kind_of, duration_of = _time_reader(mapping), _kind_reader(mapping, kinds), _duration_reader(mapping)

    def convert(cells: Cells) -> tuple[Kind, Event]:
        if not cells[user_at]:
            raise _Unfit("no user", f"{mapping.columns['user_id']} is empty")
        kind = kind_of(cells)
        other = [field for field in SUBJECTS if field != kind.subject]
        fields: dict[str, Any] = {field: text for field, text in constants if field not in other}
        for field, at in texts:
            if cells[at] and field not in other:
                fields[field] = cells[at]
        if kind.measure == "duration" and (duration := duration_of(cells)) is not None:
            fields["duration_ms"] = duration
        if given := {name: cells[at] for name, at in properties if cells[at]}:
            fields["properties"] = _raw(given)
        return kind, type_of(kind)(cells[user_at], time_of(cells), **fields)

    return convert


def _raw(properties: dict[str, str]) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(properties))
    except UnicodeError as error:
        raise _Unfit("not text", str(error)) from None


def _kind_reader(mapping: Mapping, kinds: tuple[Kind, ...]) -> Callable[[Cells], Kind]:
    kind = mapping.kind
    at = mapping.needed().index(kind.column) if kind.column is not None else None
    on = {each.name: each for each in kinds}

    def read(cells: Cells) -> Kind:
        found = kind.default if at is None else kind.values.get(cells[at], kind.default)
        if found is None:
            raise _Unfit("no kind", f"{kind.column} is {cells[at or 0][:80]!r}, which [kind.values] does not list")
        if found not in on:
            raise _Unfit("kind not on", f"SEGMENTER_KINDS={','.join([*on, found])} turns {found} on")
        return on[found]

    return read


def _amount_reader(mapping: Mapping) -> Callable[[Cells], Decimal | None]:
    """The exact amount of a row, in the unit of the mapping; None if its cells are empty."""
    index = mapping.needed().index
    at = [index(column) for column in (mapping.amount.column, mapping.amount.times) if column is not None]

    def read(cells: Cells) -> Decimal | None:
        try:
            numbers = [amounts.number(cells[each]) for each in at if cells[each]]
        except ValueError as error:
            raise _Unfit("no amount", str(error)) from None
        return prod(numbers, start=Decimal(1)) if at and len(numbers) == len(at) else None

    return read


def _time_reader(mapping: Mapping) -> Callable[[Cells], int]:
    time = mapping.time
    index = mapping.needed().index
    at = [index(column) for column in time.columns]
    order_at = index(time.order) if time.order is not None else None
    to_ms = times.reader(time.format)

    def read(cells: Cells) -> int:
        try:
            moment = to_ms(cells[at[0]] if len(at) == 1 else " ".join([cells[each] for each in at]))
            return moment if order_at is None else moment + times.milliseconds(cells[order_at]) * time.step_ms
        except (ValueError, OverflowError) as error:
            raise _Unfit("no time", str(error)) from None

    return read


def _duration_reader(mapping: Mapping) -> Callable[[Cells], int | None]:
    column = mapping.duration.column
    if column is None:
        return lambda cells: None
    at = mapping.needed().index(column)
    to_ms = times.seconds if mapping.duration.unit == "s" else times.milliseconds

    def read(cells: Cells) -> int | None:
        try:
            return to_ms(cells[at]) if cells[at] else None
        except ValueError as error:
            raise _Unfit("no duration", f"{column}: {error}") from None

    return read
