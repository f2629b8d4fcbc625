"""Whether a record counts as an event.

The verdict is a pure function of the record and the `Rules`, so worker, sink and any later reader of the same log
agree. An invalid record is a value, `InvalidRecord`, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from segmenter.errors import NewerVersion, RulesDiffer
from segmenter.events.event import Event, PricedEvent
from segmenter.events.sharding import shard_of
from segmenter.kinds import DEFAULT, Kind

if TYPE_CHECKING:
    from segmenter.settings import Settings

MAX_PROPERTIES_BYTES = 4_096
MAX_NESTING = 64
_STRUCTURE = re.compile(rb'"(?:[^"\\]+|\\.)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
"""A string, ended or not, or a bracket."""


class Record(Protocol):
    """One record as the client gives it; ``timestamp`` is in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Rules(msgspec.Struct, frozen=True):
    """All that a verdict depends on except the record. Stored with the data: a part with other rules refuses to start.

    The default of a rule that a version adds is what earlier versions did.
    """

    partitions: int
    duplicate_window: int = 100_000
    max_ahead_ms: int = 86_400_000
    max_event_bytes: int = 262_144
    isolation: str = "read_committed"
    kinds: tuple[Kind, ...] = DEFAULT
    currency: str = ""
    """Of all amounts; empty while no kind measures one."""

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules that the settings ask for."""
        return cls(
            settings.partitions,
            duplicate_window=settings.duplicate_window,
            max_ahead_ms=settings.max_ahead_ms,
            kinds=settings.kinds,
            currency=settings.currency if any(kind.measure == "amount" for kind in settings.kinds) else "",
        )


class InvalidRecord(NamedTuple):
    """Why a record is not an event: a stable ``reason``, and a ``detail`` for people."""

    reason: str
    detail: str


REASONS = {
    "empty": "the value is null",
    "too_large": "the value is above 256 kB",
    "malformed": "the value is not a JSON object, not UTF-8, or nested more than 64 deep",
    "invalid": "a field is missing, of the wrong type or out of its bounds",
    "wrong_key": "the key is not the bytes of the user id",
    "wrong_partition": "the partition is not the one Kafka's default partitioner gives to the key",
    "time_ahead": "the event's time is further ahead of the record's timestamp than the rules allow",
}
"""Every reason of an `InvalidRecord`, and what it means."""


def agreeing(where: str, stored: Mapping[str, object], ours: Rules, may_lack_kinds: bool = False) -> Rules:
    """The rules that are stored ``where``; rules that the version that stored them did not know have their defaults.

    Raises `RulesDiffer` unless ``ours`` are the same, but for kinds that they add, or lack if they may; and
    `NewerVersion`.
    """
    if unknown := sorted(stored.keys() - set(Rules.__struct_fields__)):
        raise NewerVersion(where, unknown)
    own = _each(ours)
    if "partitions" not in stored:  # the only one without a default
        raise RulesDiffer(where, own | {"partitions": "missing"}, own)
    try:
        theirs = msgspec.convert(stored, type=Rules)
    except msgspec.ValidationError as error:
        raise NewerVersion(where, [str(error)]) from error
    known = {kind.name for kind in theirs.kinds}
    without_added = msgspec.structs.replace(
        ours,
        kinds=tuple([kind for kind in ours.kinds if kind.name in known]),
        currency=ours.currency if theirs.currency and ours.currency else theirs.currency,
    )
    named = {kind.name for kind in ours.kinds}
    compared = tuple([kind for kind in theirs.kinds if kind.name in named or not may_lack_kinds])
    if msgspec.structs.replace(theirs, kinds=compared) != without_added:
        raise RulesDiffer(where, _each(theirs), _each(without_added))
    return theirs


def _each(rules: Rules) -> dict[str, object]:
    """Rules by name, with one entry for each kind, so that a difference can be told."""
    kinds = {
        f"the kind {kind.name}": f"plural {kind.plural}, topic {kind.topic}, measure {kind.measure}"
        for kind in rules.kinds
    }
    return {name: value for name, value in msgspec.structs.asdict(rules).items() if name != "kinds"} | kinds


_decoder, _priced_decoder = msgspec.json.Decoder(Event), msgspec.json.Decoder(PricedEvent)


def decode(
    value: bytes | None, key: bytes | None, kind: Kind, partition: int, timestamp_ms: int, rules: Rules
) -> Event | InvalidRecord:
    """The event of this kind that a record holds, or why the record is invalid.

    >>> decode(b"[]", b"u42", DEFAULT[0], 3, 0, Rules(partitions=4)).reason
    'malformed'
    """
    if value is None:
        return InvalidRecord("empty", "the value is null")
    if len(value) > rules.max_event_bytes:
        return InvalidRecord("too_large", f"{len(value)} bytes, at most {rules.max_event_bytes} are allowed")
    if _too_deep(value):
        return InvalidRecord("malformed", f"nested more than {MAX_NESTING} deep")
    try:
        value.decode()  # the parser does not check the bytes of unparsed and unknown fields
        event = _priced_decoder.decode(value) if kind.measure == "amount" else _decoder.decode(value)
        user = event.user_id.encode()
        problem = _properties_problem(event.properties) or _currency_problem(event, rules)
    except msgspec.ValidationError as error:
        return InvalidRecord("malformed" if value.lstrip()[:1] != b"{" else "invalid", str(error))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return InvalidRecord("malformed", str(error))
    if problem:
        return InvalidRecord("invalid", problem)
    if user != key:
        return InvalidRecord("wrong_key", f"the key is {_shown(key)}, the user {_shown(user)}")
    if shard_of(user, rules.partitions) != partition:
        return InvalidRecord(
            "wrong_partition", f"partition {partition}, the key belongs to {shard_of(user, rules.partitions)}"
        )
    if event.time_ms - timestamp_ms > rules.max_ahead_ms:
        ahead = event.time_ms - timestamp_ms
        return InvalidRecord("time_ahead", f"{ahead} ms ahead of the record, at most {rules.max_ahead_ms} are allowed")
    return event


def _too_deep(value: bytes) -> bool:
    """Whether brackets outside strings nest beyond the limit: how deep a parser can go depends on its caller."""
    if value.count(b"{") + value.count(b"[") <= MAX_NESTING:
        return False
    depth = 0
    for token in _STRUCTURE.finditer(value):
        if token[0] in (b"{", b"["):
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif token[0] in (b"}", b"]"):
            depth -= 1
    return False


def _properties_problem(properties: msgspec.Raw) -> str | None:
    """What is wrong, if anything, with the only field that is kept unparsed."""
    raw = bytes(properties)
    if raw in (b"", b"null"):
        return None
    if raw[:1] != b"{":
        return "Expected `object | null` - at `$.properties`"
    if len(raw) > MAX_PROPERTIES_BYTES:
        return f"properties have {len(raw)} bytes, at most {MAX_PROPERTIES_BYTES} are allowed"
    return None


def _currency_problem(event: Event, rules: Rules) -> str | None:
    if isinstance(event, PricedEvent) and event.currency not in (None, rules.currency):
        return f"the currency is {_shown(event.currency.encode())}, the only one is {rules.currency!r}"
    return None


def _shown(data: bytes | None) -> str:
    return repr(data if data is None or len(data) <= 80 else data[:80] + b"...")
