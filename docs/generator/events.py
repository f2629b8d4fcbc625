"""docs/events.md and the JSON Schemas: the structs of events, the kinds, the verdicts and the dead letters."""

from __future__ import annotations

import json
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from generator.source import GENERATED, code, meanings, summary, table
from segmenter import events
from segmenter.events import DEAD_LETTERS, REASONS, Event, InvalidRecord, PricedEvent, dead_letters
from segmenter.events.event import MAX_USER_BYTES
from segmenter.events.rules import MAX_PROPERTIES_BYTES
from segmenter.kinds import BUILT_IN, DEFAULT, Kind
from segmenter.operations.dead_letters.lines import Line
from segmenter.operations.dead_letters.replay import HEADER

EXAMPLE = Event("u42", 1_767_603_600_000, event_id="e-1", device="mobile", duration_ms=41_500, item_id="article-7")
PRICED = PricedEvent("u42", 1_767_603_600_000, event_id="order-1017", amount=4_990)
INVALID = dead_letters.describe(
    DEFAULT[-1].topic, 2, 1_017, 1_767_603_600_000, b"u42", b"[]", InvalidRecord("malformed", "a list")
)


def schema(event: type[Event] = Event) -> str:
    """The JSON Schema of an event of this type."""
    hints = get_type_hints(event, include_extras=True)
    # The struct keeps `properties` as raw bytes, empty when absent: no schema can show that.
    hints["properties"] = Annotated[
        dict[str, Any] | None, Meta(description=hints["properties"].__metadata__[0].description)
    ]
    required = [field.name for field in msgspec.structs.fields(event) if field.required]
    alike = [(name, hint) if name in required else (name, hint, None) for name, hint in hints.items()]
    found = msgspec.json.schema(msgspec.defstruct("Event", alike))["$defs"]["Event"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "description": summary(event)}
    return json.dumps(head | found, indent=2) + "\n"


def page() -> str:
    """Fields, topics, verdicts, dead letters."""
    found = json.loads(schema())
    fields = [_row(name, field, name in found["required"]) for name, field in found["properties"].items()]
    priced = json.loads(schema(PricedEvent))["properties"]
    amounts = [_row(name, field, False) for name, field in priced.items() if name not in found["properties"]]
    letters = meanings(dead_letters.DeadLetter, LETTER)
    return f"""{GENERATED}
# Events

An event is one act of one user at one time, published as JSON (UTF-8) to the topic of its kind. The record's key is the
bytes of `user_id`, its partition the one that Kafka's default partitioner (murmur2) gives to that key. Absent fields
are left out or null; unknown fields are ignored. As JSON Schema: [event.schema.json](event.schema.json) and, for kinds
that measure an amount, [priced-event.schema.json](priced-event.schema.json).

```json
{events.encode(EXAMPLE).decode()}
{events.encode(PRICED).decode()}
```

## Fields

{table(("field", "type", "bounds", "meaning"), fields)}
Where the kind measures an amount, there are two more. In other events they are ignored.

{table(("field", "type", "bounds", "meaning"), amounts)}
A `user_id` has at most {MAX_USER_BYTES} bytes in UTF-8, and is kept and compared byte for byte: `Bob`, `bob` and
`"bob "` are three users, `007` and `7` are two. `properties` has at most {MAX_PROPERTIES_BYTES:,} bytes as it is
written. A whole record has at most {events.Rules(1).max_event_bytes:,} bytes.

## Kinds

The kind of an event is that of its topic. `SEGMENTER_TOPIC_PREFIX` comes before each topic; all have the same number of
partitions. `SEGMENTER_KINDS` picks the kinds that are on, by default {", ".join(code(kind.name) for kind in DEFAULT)};
[kinds.md](kinds.md) says how to add your own.

{table(("kind", "topic", "measures", "aggregates", "features"), map(_kind, BUILT_IN.values()))}
## What counts

A duplicate does not count: an event whose user had the same `event_id` at most `duplicate_window` offsets before, in
the same topic and partition. An event without an `event_id` is never a duplicate. Beyond the window, a repeat counts
again. How much time the window spans depends on the traffic; `segmenter status` shows how much it is now: the age of
the record that is `duplicate_window` offsets before the end, in the partition where that is the least.

A record is invalid for one of these reasons. This depends on the record and the rules alone, never on a clock
or on the reader.

{table(("reason", "meaning"), [(code(reason), meaning) for reason, meaning in REASONS.items()])}
## Dead letters

An invalid record becomes a dead letter in the topic `{DEAD_LETTERS}`, as JSON, under the key `topic:partition:offset`
of the record. After a crash one may be there twice: readers drop repeats of a key, as `segmenter dead-letters` does.

{table(("field", "meaning"), [(code(name), meaning) for name, meaning in letters.items()])}
```json
{dead_letters.encode(INVALID).decode()}
```

## Correcting dead letters

`segmenter dead-letters export FILE` writes each of them as a line of JSON, the oldest first. Correct the values, by
hand or by a script. `segmenter dead-letters replay FILE` then publishes the lines whose value is an event, each as a
new record of its topic, under its user's key. Lines that are still invalid are listed with the reason.

{table(("field of a line", "meaning"), [(code(name), meaning) for name, meaning in meanings(Line).items()])}
A replayed record has the header `{HEADER}` with the position `topic:partition:offset` of the invalid record. Before it
publishes, replay reads all that the log holds of these topics, and skips the positions that it finds in headers. So
each line is published once, however often the file is replayed, also after a crash at any point. There are two limits.
Replays at the same time do not see each other's records: run one at a time and, after one was killed, wait a moment
until the brokers have written what it had sent. And when the log has dropped a replayed record, by its retention,
another replay publishes it again.

A replayed event counts like any other, live and in the batch. Its dead letter stays in the topic.
"""


LETTER = {
    "topic": "The record's topic.",
    "partition": "Its partition.",
    "offset": "Its offset.",
    "reason": "One of the reasons above.",
    "detail": "What was found and what is allowed, for people.",
    "timestamp_ms": "The record's timestamp, in milliseconds since 1970-01-01 UTC.",
}
"""The fields of a dead letter that need no explanation in the code."""


def _kind(kind: Kind) -> tuple[str, ...]:
    measures = {"none": "nothing", "duration": "a duration", "amount": "an amount"}[kind.measure]
    features = [code(feature.name) for feature in kind.features]
    return code(kind.name), code(kind.topic), measures, " ".join(map(code, kind.fields)), " ".join(features)


def _row(name: str, field: dict[str, Any], required: bool) -> tuple[str, ...]:
    kinds = {each["type"]: each for each in field.get("anyOf", [field])}
    kinds.pop("null", None)
    ((kind, bounds),) = kinds.items()
    return code(name), kind + (", required" if required else ""), _bounds(bounds), _meaning(field, bounds)


def _bounds(of: dict[str, Any]) -> str:
    if "maximum" in of:
        return f"{of['minimum']:,} to {of['maximum']:,}"
    if "maxLength" in of:
        return f"{of.get('minLength', 0):,} to {of['maxLength']:,} characters"
    return ""


def _meaning(*places: dict[str, Any]) -> str:
    return next(str(place["description"]) for place in places if "description" in place)
