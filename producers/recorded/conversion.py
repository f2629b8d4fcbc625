"""Conversion: the cells of a row become an event, as a mapping says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import msgspec

from producers.messages import Refused
from producers.recorded import times
from producers.recorded.mapping import Mapping
from producers.recorded.readers import Row
from segmenter.events import TOPICS, Event

TOPIC_OF = {kind: topic for topic, kind in TOPICS.items()}
TIMED = ("click", "view")
ONLY = {"query": "search", "item_id": "view"}
"""The event fields that only one kind has."""


class Recorded(NamedTuple):
    """One event of a file: the row it comes from, its topic without prefix, and itself."""

    row: int
    topic: str
    event: Event


def to_events(rows: Iterable[Row | Refused], mapping: Mapping) -> Iterator[Recorded | Refused]:
    """The event of each row, or why it is refused. With ``one_per``, later rows with the same key are refused."""
    convert = _converter(mapping)
    index = mapping.needed().index
    key_of = [index(column) for column in mapping.one_per]
    key_name = " and ".join(mapping.one_per)
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        if isinstance(row, Refused):
            yield row
            continue
        number, cells = row
        key = tuple([cells[at] for at in key_of])
        if key and key in seen:
            yield Refused(number, f"another row of the same {key_name}", " ".join(key)[:80])
            continue
        try:
            yield Recorded(number, *convert(cells))
            seen.add(key)
        except _Unfit as unfit:
            yield Refused(number, unfit.reason, unfit.detail)


def with_derived_durations(events: list[Recorded], cap_ms: int) -> Iterator[Recorded]:
    """The same events, clicks and views lasting until the next event of the session, at most ``cap_ms``.

    The last event of a session and events without a session get no duration. The order of the events stays.
    """
    order = sorted(range(len(events)), key=lambda at: _in_session(events[at]))
    lasting: dict[int, int] = {}
    for (_, session), group in groupby(order, key=lambda at: _in_session(events[at])[:2]):
        visit = list(group) if session else []
        for at, following in pairwise(visit):
            lasting[at] = min(events[following].event.time_ms - events[at].event.time_ms, cap_ms)
    for at, each in enumerate(events):
        if at in lasting and TOPICS[each.topic] in TIMED:
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


Cells = tuple[str, ...]


def _converter(mapping: Mapping) -> Callable[[Cells], tuple[str, Event]]:
    """A function from the cells of a row to (topic, event). Raises `_Unfit`."""
    index = mapping.needed().index
    user_at = index(mapping.columns["user_id"])
    texts = [(field, index(column), ONLY.get(field)) for field, column in mapping.columns.items() if field != "user_id"]
    constants = [(field, text, ONLY.get(field)) for field, text in mapping.constants.items()]
    properties = [(name, index(column)) for name, column in mapping.properties.items()]
    time_of, kind_of, duration_of = _time_reader(mapping), _kind_reader(mapping), _duration_reader(mapping)

    def convert(cells: Cells) -> tuple[str, Event]:
        if not cells[user_at]:
            raise _Unfit("no user", f"{mapping.columns['user_id']} is empty")
        kind = kind_of(cells)
        fields: dict[str, Any] = {field: text for field, text, only in constants if only in (None, kind)}
        for field, at, only in texts:
            if cells[at] and only in (None, kind):
                fields[field] = cells[at]
        if kind in TIMED and (duration := duration_of(cells)) is not None:
            fields["duration_ms"] = duration
        if given := {name: cells[at] for name, at in properties if cells[at]}:
            fields["properties"] = _raw(given)
        return TOPIC_OF[kind], Event(cells[user_at], time_of(cells), **fields)

    return convert


def _raw(properties: dict[str, str]) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(properties))
    except UnicodeError as error:
        raise _Unfit("not text", str(error)) from None


def _kind_reader(mapping: Mapping) -> Callable[[Cells], str]:
    kind = mapping.kind
    at = mapping.needed().index(kind.column) if kind.column is not None else None

    def read(cells: Cells) -> str:
        found = kind.default if at is None else kind.values.get(cells[at], kind.default)
        if found is None:
            raise _Unfit("no kind", f"{kind.column} is {cells[at or 0][:80]!r}, which [kind.values] does not list")
        return found

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
