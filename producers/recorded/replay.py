"""Replay: a recorded file as messages, its events moved in time and paced as asked.

Rows are streamed in the order of the file. The whole file is held in memory only when all of it must be known
first: to derive durations, to move the times up to now, or to give the events in the order of their times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from producers.messages import Message, Refused
from producers.recorded import readers
from producers.recorded.conversion import Recorded, to_events, with_derived_durations
from producers.recorded.mapping import Mapping
from producers.recorded.mapping_file import check_columns, load
from segmenter.events import InvalidRecord, Rules, decode, encode, key_of
from segmenter.events.sharding import shard_of
from segmenter.kinds import Kind


class ReplayOptions(NamedTuple):
    """How to replay a file.

    ``speed``: how many times as fast as it happened; None is as fast as possible. ``newest_ms``: all times are moved
    by the same amount, so that the newest event is at this time. ``limit``: read only so many rows.
    """

    speed: float | None = None
    newest_ms: int | None = None
    limit: int | None = None


def messages(
    file: Path, mapping_path: Path, rules: Rules, now_ms: int, options: ReplayOptions
) -> Iterator[Message | Refused]:
    """The messages of a recorded file, and the refused rows; ``now_ms`` is the time of publishing.

    Raises `segmenter.errors.MappingError` at once when the mapping is wrong or does not fit the file.
    """
    mapping = load(mapping_path, rules.kinds)
    check_columns(mapping, mapping_path, file, readers.columns(file, mapping))
    found = events(file, mapping, rules.kinds, options.limit)
    return as_messages(_with_options(found, options), rules, now_ms)


def events(
    file: Path, mapping: Mapping, kinds: tuple[Kind, ...], limit: int | None = None
) -> Iterator[Recorded | Refused]:
    """The events of the first ``limit`` rows of a file with the columns of the mapping, and the refused rows."""
    found = to_events(islice(readers.rows(file, mapping, mapping.needed()), limit), mapping, kinds)
    if mapping.duration.derive is None:
        return found
    return _whole(found, lambda whole: with_derived_durations(whole, mapping.duration.cap_s * 1_000))


def _with_options(found: Iterator[Recorded | Refused], options: ReplayOptions) -> Iterator[Recorded | Refused]:
    if (newest_ms := options.newest_ms) is not None:
        found = _whole(found, lambda whole: _moved(whole, newest_ms))
    return found if options.speed is None else paced(in_time_order(found), options.speed)


def in_time_order(found: Iterable[Recorded | Refused]) -> Iterator[Recorded | Refused]:
    """The refused rows first, then the events in the order of their times."""
    return _whole(found, lambda whole: sorted(whole, key=lambda each: each.event.time_ms))


def paced(found: Iterable[Recorded | Refused], speed: float) -> Iterator[Recorded | Refused]:
    """The same, but each event waits for its time, on a clock that is ``speed`` times as fast."""
    began: tuple[float, int] | None = None
    for each in found:
        if isinstance(each, Recorded):
            began = began or (time.monotonic(), each.event.time_ms)
            early = began[0] + (each.event.time_ms - began[1]) / 1_000 / speed - time.monotonic()
            if early > 0:
                time.sleep(early)
        yield each


def as_messages(found: Iterable[Recorded | Refused], rules: Rules, now_ms: int) -> Iterator[Message | Refused]:
    """The messages of the events. An event that a worker would find invalid is refused here, for the same reason."""
    for each in found:
        yield each if isinstance(each, Refused) else _as_message(each, rules, now_ms)


def _as_message(each: Recorded, rules: Rules, now_ms: int) -> Message | Refused:
    try:
        key, value = key_of(each.event.user_id), encode(each.event)
    except UnicodeError as error:
        return Refused(each.row, "not text", str(error))
    verdict = decode(value, key, each.kind, shard_of(key, rules.partitions), now_ms, rules)
    if isinstance(verdict, InvalidRecord):
        return Refused(each.row, verdict.reason, verdict.detail)
    return Message(each.kind.topic, key, value)


def _whole(
    found: Iterable[Recorded | Refused], change: Callable[[list[Recorded]], Iterable[Recorded]]
) -> Iterator[Recorded | Refused]:
    whole: list[Recorded] = []
    for each in found:
        if isinstance(each, Recorded):
            whole.append(each)
        else:
            yield each
    yield from change(whole)


def _moved(whole: list[Recorded], newest_ms: int) -> Iterator[Recorded]:
    shift = newest_ms - max((each.event.time_ms for each in whole), default=0)
    for each in whole:
        yield each._replace(event=msgspec.structs.replace(each.event, time_ms=each.event.time_ms + shift))
