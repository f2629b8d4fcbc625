"""docs/redis.md: each key, its type and fields."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np

from generator.source import GENERATED, code, meanings, one_line, summary, table
from segmenter.kinds import BUILT_IN, DEFAULT, DEFAULT_FEATURES, Feature, catalogue
from segmenter.model.features import named
from segmenter.model.generation import Generation
from segmenter.model.profiles import fields
from segmenter.model.vectors import vectors
from segmenter.operations.owners import PAUSE_SECONDS
from segmenter.shards import row
from segmenter.shards.row import Row
from segmenter.shards.state import ShardState
from segmenter.store.keys import Keys
from segmenter.store.shards import FEED_LENGTH

ARGUMENTS = {"user": b"u42", "shard": 3, "segment": "highly_engaged", "command": "7c0e"}
PROFILE = fields(DEFAULT)
AGGREGATES = (11, 9, 28_170, 5, 0, 0, 0, 1_767_603_600_000, 1_767_690_000_000)
COLUMNS = {name: np.array([value]) for name, value in zip(PROFILE, AGGREGATES, strict=True)}
VECTOR = vectors(COLUMNS, named(DEFAULT_FEATURES, DEFAULT))[0].tolist()
OFFSETS = {kind.topic: offset for kind, offset in zip(DEFAULT, (8_412, 977), strict=False)}
EXAMPLE = Row(b"u42", "highly_engaged", 3, AGGREGATES, OFFSETS, tuple(VECTOR))

MEASURES = {
    "duration": ("a duration", "the sum of their durations, in milliseconds"),
    "amount": ("an amount", "the sum of their amounts, in minor units"),
}
TIMES = {
    "first_ms": "the time of the earliest event, in milliseconds since 1970-01-01 UTC",
    "last_ms": "the time of the latest event, likewise",
}
ROW = {"profile": "The running aggregates, as JSON; see below."}
SHARD = {
    "census": "By segment: the number of users and, for each feature of their vectors, how many users have it, the sum "
    "and the sum of squares.",
    "counts": "What became of the records below the offsets: folded, duplicates, dead_letters (by reason); and begins, "
    "the first offset that is counted, by topic, where it is not 0.",
}
MODEL = {
    "cause": "bootstrap (the first), step (an exact Lloyd step), refit (afresh), rename (a name set by hand) or "
    "features (users are judged by other ones).",
    "features": "The names of the features, in the order of a vector.",
    "centres": "One point per segment, in a vector's units.",
    "scale": "The number that each feature is divided by before distances are computed.",
    "created_ms": "When it was published, in milliseconds since 1970-01-01 UTC.",
}
FEED = {
    "n": "the running number of the shard's changes; after a jump, entries are missing: cut off, a script failed, or a "
    "restore came between",
    "user": "the user who moved",
    "from": "the segment before; empty for a new user",
    "to": "the segment after; empty when the row was removed: forget the user",
    "cause": "`behaviour` (the user's events), `model` (a new generation) or `repair` (the row was wrong)",
    "generation": "the generation that judged so",
    "cut": "the row's offsets, as JSON by topic; a user's newest entry is the one with the greatest sum and "
    "generation, of equal ones the later",
}


def page() -> str:
    """Keys, then the fields of each hash and of the feed's entries."""
    user = keys()["user"]
    return f"""{GENERATED}
# Redis

The keys of the live store, under `SEGMENTER_KEY_PREFIX` (`seg` by default). Read them with any client; only workers
write them. Only replies expire, and a Redis that evicts is refused.

```console
$ redis-cli HGET {user} segment
"{EXAMPLE.segment}"
```

## Keys

{table(("key, for example", "type", "holds"), map(_key, keys()))}
## A user: `{user}`

{table(("field", "for example", "meaning"), _row())}
`segment` is `unassigned` before the first generation.

### The profile

{table(("name", "meaning"), [(code(name), meaning) for name, meaning in _profile().items()])}
Only the fields of kinds that are on are there; what was written before a kind was added reads as zero. From these come
the features:

{table(("feature", "is", "unit"), map(_feature, catalogue(tuple(BUILT_IN.values()))))}
`SEGMENTER_FEATURES` picks those that judge, and they make up the vector: `round(log1p(feature) * 2^20)` of each, in the
order of the generation's `features`, between commas; nothing in the place of a missing one. An amount below 0 keeps its
sign. Before the first generation the vector is `-`.

## A shard: `{keys()["shard"]}`

{_fields(ShardState, SHARD)}
## The model: `{keys()["model"]}`

`current` names the field with the current generation; the latest 100 stay under their numbers. `names` holds the
readable name of each slug. A generation is JSON:

{_fields(Generation, MODEL)}
## The change feed: `{keys()["feed"]}`

One entry per change of segment, written with the change itself; about the newest {FEED_LENGTH:,} are kept.

{table(("field", "meaning"), [(code(name), meaning) for name, meaning in FEED.items()])}
## Commands: `{keys()["commands"]}`

Only the owner of a shard writes to it. Other processes that need a write, such as `segmenter verify --repair`, send
the owner a command. The owner reads the list once a second, and ten times a second while a shard is paused. During a
`pause`, until `until_ms` by Redis' clock, the owner reads no records of the shard and judges nobody; a `write` is made
if the shard still has its `version`, else not at all; at a `rewrite` it writes the shard's fields again, as it knows
them. The reply is under the `id` of the command. While a shard is paused, its records wait in the log and its lookups
get stale; other shards go on. A pause lasts as long as reading all rows, about a second for 20,000 users, and at most
{PAUSE_SECONDS:.0f} s after the process that asked for it has died.
"""


def keys() -> dict[str, str]:
    """An example of each key, by the name of the method that builds it."""
    found = {}
    for name in _documented():
        build = getattr(Keys("seg"), name)
        key = build(*[ARGUMENTS[parameter] for parameter in inspect.signature(build).parameters])
        found[name] = key.decode() if isinstance(key, bytes) else key
    return found


def _documented() -> Mapping[str, str]:
    """The docstrings of the methods that build a whole key: those that begin with its type."""
    methods = {name: summary(method) for name, method in vars(Keys).items() if inspect.isfunction(method)}
    return {name: doc for name, doc in methods.items() if doc.startswith(("Hash: ", "Set: ", "Stream: ", "List: "))}


def _key(name: str) -> tuple[str, ...]:
    kind, _, holds = _documented()[name].partition(": ")
    return code(keys()[name]), kind.lower(), holds


def _row() -> list[tuple[str, ...]]:
    meaning = meanings(Row, ROW | {"user": ""})
    values = [value.decode() if isinstance(value, bytes) else value for value in row.encode(EXAMPLE, PROFILE)]
    return [(code(name), code(value), meaning[name]) for name, value in zip(row.FIELDS, values, strict=True)]


def _profile() -> dict[str, str]:
    """The meaning of each field of a profile with all built-in kinds."""
    found: dict[str, str] = {}
    for kind in BUILT_IN.values():
        meaning = [f"{kind.plural.replace('_', ' ')} that count"]
        if kind.measure in MEASURES:
            measure, sum_ = MEASURES[kind.measure]
            meaning += [f"of those, the ones with {measure}", sum_]
        found |= dict(zip(kind.fields, meaning, strict=True))
    return found | TIMES


def _feature(feature: Feature) -> tuple[str, ...]:
    ratio = f"{feature.numerator} / {feature.denominator}" if feature.denominator else feature.numerator
    return code(feature.name), code(ratio), feature.unit


def _fields(cls: type, also: Mapping[str, str]) -> str:
    return table(("field", "meaning"), [(code(name), one_line(text)) for name, text in meanings(cls, also).items()])
