"""Which properties of events are worth a profile."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
from sqlalchemy import text

from segmenter.kinds import Kind
from segmenter.warehouse.engine import SUMMARY_SECONDS, Warehouse, reading

SAMPLE = 10_000
"""Of each kind, about so many events are looked at, spread over its log."""

MOST_DIFFERENT = 50
MOST_PROPERTIES = 10

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]{0,63}")


def property_names(warehouse: Warehouse) -> dict[str, tuple[Kind, ...]]:
    """The properties that have few different values, and the kinds of events that have them.

    They are found in a sample: those whose values are texts, at most `MOST_DIFFERENT` different ones, and whose names
    are of letters, digits, _ and -, not beginning with a digit. Of more than `MOST_PROPERTIES`, the most common ones.
    """
    events: Counter[str] = Counter()
    values: dict[str, set[str]] = {}
    kinds: dict[str, list[Kind]] = {}
    refused: set[str] = set()
    for kind in warehouse.kinds:
        for properties in _sample(warehouse, kind):
            for name, value in properties.items():
                if not isinstance(value, str) or not _NAME.fullmatch(name):
                    refused.add(name)
                elif name not in refused:
                    events[name] += 1
                    values.setdefault(name, set()).add(value)
                    if kind not in kinds.setdefault(name, []):
                        kinds[name].append(kind)
                    if len(values[name]) > MOST_DIFFERENT:
                        refused.add(name)
    kept = sorted(events.keys() - refused, key=lambda name: (-events[name], name))
    return {name: tuple(kinds[name]) for name in kept[:MOST_PROPERTIES]}


def _sample(warehouse: Warehouse, kind: Kind) -> list[dict[str, object]]:
    table = f"raw_{kind.topic}"
    ranges = text(f"SELECT MIN(pos), MAX(pos) FROM {table} GROUP BY part")
    sample = text(f"SELECT properties FROM {table} WHERE properties IS NOT NULL AND pos % :step = 0")
    with reading(warehouse, SUMMARY_SECONDS) as connection:
        records = sum(last - first + 1 for first, last in connection.execute(ranges))
        found = connection.execute(sample, {"step": -(-records // SAMPLE) or 1}).scalars().all()
    return [msgspec.json.decode(each, type=dict[str, object]) for each in found]
