"""What an event is, and how it is published."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from segmenter.kinds import Kind

MAX_TIME_MS = 253_402_300_799_999
MAX_DURATION_MS = 86_400_000
MAX_AMOUNT = 10**12

MAX_USER_CHARACTERS = 128
MAX_USER_BYTES = 512
"""Of a user id in UTF-8: of at most four bytes each character."""

UserId = Annotated[
    str, Meta(min_length=1, max_length=MAX_USER_CHARACTERS, description="whose event; kept byte for byte")
]
Milliseconds = Annotated[
    int, Meta(ge=0, le=MAX_TIME_MS, description="when it happened: milliseconds since 1970-01-01 UTC")
]
Duration = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_DURATION_MS,
        description="how long it lasted, in ms; counts if the kind measures a duration",
    ),
]
EventId = Annotated[
    str, Meta(min_length=1, max_length=128, description="names the event: a repeat within the window counts once")
]
SessionId = Annotated[str, Meta(max_length=128, description="the visit it belongs to")]
Device = Annotated[str, Meta(max_length=512, description="what it was done with, for example mobile")]
Url = Annotated[str, Meta(max_length=8_192, description="the page")]
Referrer = Annotated[str, Meta(max_length=8_192, description="the page before")]
ItemId = Annotated[str, Meta(max_length=128, description="what it was about, for example the article or the product")]
Query = Annotated[str, Meta(max_length=8_192, description="what was searched for")]


Amount = Annotated[
    int,
    Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT, description="how much, in minor units (cents); a refund is negative"),
]
Currency = Annotated[str, Meta(description="the currency of the amount; if stated, the one of the settings")]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One act of one user at one time; the topic says of which kind.

    >>> encode(Event("u42", 1_700_000_000_000, query="red shoes"))
    b'{"user_id":"u42","time_ms":1700000000000,"query":"red shoes"}'
    """

    user_id: UserId
    time_ms: Milliseconds
    event_id: EventId | None = None
    session_id: SessionId | None = None
    device: Device | None = None
    url: Url | None = None
    referrer: Referrer | None = None
    duration_ms: Duration | None = None
    item_id: ItemId | None = None
    query: Query | None = None
    properties: Annotated[
        msgspec.Raw,
        Meta(description="anything else: a JSON object of at most 4 kB", extra_json_schema={"type": "object"}),
    ] = msgspec.Raw()


class PricedEvent(Event, frozen=True, omit_defaults=True):
    """One act of one user at one time, of a kind that measures an amount.

    In events of other kinds, the fields ``amount`` and ``currency`` are ignored.
    """

    amount: Amount | None = None
    currency: Currency | None = None


_encoder = msgspec.json.Encoder()


def type_of(kind: Kind) -> type[Event]:
    """What the events of a kind are decoded as."""
    return PricedEvent if kind.measure == "amount" else Event


def measure_of(event: Event, kind: Kind) -> int | None:
    """What an event adds to the sum of its kind: its duration or amount, None if it has none.

    >>> measure_of(Event("u42", 0, duration_ms=250), Kind("view", "views", "views", "duration"))
    250
    """
    if kind.measure == "duration":
        return event.duration_ms
    return event.amount if isinstance(event, PricedEvent) else None


def encode(event: Event) -> bytes:
    """The event as it is published: JSON without the absent fields. Its key is `key_of` the user."""
    return _encoder.encode(event)
