"""The settings: what each means, its default, and what it may be.

A plain dataclass, because every command reads settings: it starts 0.2 s sooner than with pydantic-settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segmenter.errors import SettingsError
from segmenter.kinds import DEFAULT, DEFAULT_FEATURES, Feature, Kind, catalogue
from segmenter.settings import allowed
from segmenter.settings.allowed import EMBEDDED, Allowed
from segmenter.settings.urls import hidden, masked, trusting

PREFIX = "SEGMENTER_"


def _setting(default: Any, may_be: Allowed, meaning: str, mask: Callable[[str], str] | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"allowed": may_be, "meaning": meaning, "mask": mask})


@dataclasses.dataclass(frozen=True, repr=False)
class Settings:
    """Every setting, checked. Change one with `dataclasses.replace`; the text form shows no password.

    >>> Settings(redis_url="redis://app:s3cret@cache:6379/0").shown()["redis_url"]
    'redis://app:***@cache:6379/0'
    """

    kafka: str = _setting(EMBEDDED, allowed.KAFKA, "The Kafka brokers to start from.")
    kafka_tls: str = _setting("off", allowed.SWITCH, "Whether to connect to the brokers over TLS.")
    kafka_user: str = _setting("", allowed.USER, "The user of the brokers, by SCRAM-SHA-512; empty for no login.")
    kafka_password: str = _setting("", allowed.PASSWORD, "The password of `kafka_user`.", hidden)
    redis_url: str = _setting(EMBEDDED, allowed.REDIS, "The Redis that holds the live profiles and segments.", masked)
    warehouse_url: str = _setting(
        EMBEDDED, allowed.WAREHOUSE, "The SQL database that holds raw events and snapshots.", masked
    )
    tls_ca: str = _setting(
        "",
        allowed.CERTIFICATES,
        "The authorities trusted to sign the certificates of Kafka, Redis and MySQL; empty for the system's. With it, "
        "MySQL must use TLS.",
    )
    stack_dir: Path = _setting(  # noqa: RUF009 - it is dataclasses.field
        Path(".segmenter"), allowed.FOLDER, "Where the embedded parts keep their files and addresses."
    )
    key_prefix: str = _setting(
        "seg",
        allowed.name(1, 32),
        "What every Redis key begins with; two environments with different ones may share a Redis.",
    )
    topic_prefix: str = _setting("", allowed.name(0, 64), "What every topic name begins with.")
    group: str = _setting(
        "segmenter",
        allowed.name(1, 128),
        "What the name of the consumer group begins with; in it, workers share the shards. A dot and the id of the "
        "store follow, so that no two stores share a group.",
    )
    partitions: int = _setting(4, allowed.whole(1, 1_024), "The partitions of each topic, and so the number of shards.")
    segments: tuple[str, ...] = _setting(
        ("low_engagement", "moderate_engagement", "highly_engaged"),
        allowed.SLUGS,
        "The segments, from the least to the most engaged.",
    )
    kinds: tuple[Kind, ...] = _setting(
        DEFAULT, allowed.KINDS, "The kinds of events. In the file, `[kinds.NAME]` adds one (docs/kinds.md)."
    )
    features: tuple[str, ...] = _setting(
        (),
        allowed.FEATURES,
        f"The features that users are judged by; empty for {', '.join(DEFAULT_FEATURES)}, as far as the kinds give "
        "them, or else for all.",
    )
    currency: str = _setting("EUR", allowed.CURRENCY, "The currency of all amounts.")
    timezone: str = _setting(
        "UTC",
        allowed.TIMEZONE,
        "The time zone of the hours and days of the week in the profiles of segments. What is stored is in UTC.",
    )
    retention_days: int = _setting(
        0,
        allowed.whole(0, 36_500),
        "After each snapshot, those older than so many days are removed, and so are the changes of segments before; "
        "with 0, all stay.",
    )
    duplicate_window: int = _setting(
        100_000,
        allowed.whole(0, 10_000_000),
        "A repeated event id does not count when it comes at most this many offsets after the previous one.",
    )
    max_ahead_ms: int = _setting(
        86_400_000,
        allowed.whole(0, 31_536_000_000),
        "How far an event's time may be ahead of its record's timestamp, in milliseconds.",
    )
    commit_rows: int = _setting(250, allowed.whole(1, 5_000), "The most users that one commit to Redis changes.")
    stale_after_ms: int = _setting(
        5_000,
        allowed.whole(1_000, 86_400_000),
        "A lookup is stale when its shard's worker has been silent, or behind, for this many milliseconds.",
    )
    log_level: str = _setting("info", allowed.LEVEL, "The least severe log line that is written.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(field.name, getattr(self, field.name), field.name))
        if bool(self.kafka_user) != bool(self.kafka_password):
            raise SettingsError("kafka_user and kafka_password go together; set both, or neither")
        object.__setattr__(self, "warehouse_url", trusting(self.warehouse_url, self.tls_ca))
        _check_features(self.features, self.kinds)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={shown!r}' for name, shown in self.shown().items())})"

    def shown(self) -> dict[str, Any]:
        """Every setting as JSON can hold it, passwords masked."""
        values = {name: getattr(self, name) for name in FIELDS}
        plain = {
            "stack_dir": str(self.stack_dir),
            "kinds": tuple([kind.name for kind in self.kinds]),
            "features": tuple([feature.name for feature in self.judging]),
        }
        return values | {name: _masked(name, values[name]) for name in SECRETS} | plain

    @property
    def judging(self) -> tuple[Feature, ...]:
        """The features that users are to be judged by, in the order of the catalogue."""
        given = catalogue(self.kinds)
        wanted = self.features or DEFAULT_FEATURES
        return tuple([feature for feature in given if feature.name in wanted]) or given


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
"""The fields of `Settings` by name; the metadata holds ``allowed``, ``meaning`` and ``mask``."""

SECRETS = tuple(name for name, field in FIELDS.items() if field.metadata["mask"])
"""The settings that may hold a password: shown masked, and readable from a file that ``SEGMENTER_…_FILE`` names."""


def _check_features(wanted: tuple[str, ...], kinds: tuple[Kind, ...]) -> None:
    names = [feature.name for feature in catalogue(kinds)]
    for name in wanted:
        if name not in names:
            raise SettingsError(f"features has {name!r}; the kinds that are on give {', '.join(names)}")


def checked(name: str, value: Any, place: str) -> Any:
    may_be: Allowed = FIELDS[name].metadata["allowed"]
    try:
        return may_be.read(value)
    except (ValueError, TypeError, AttributeError):
        pass  # raised below, outside: the cause may quote a password
    near = may_be.near(value)
    like = f"; near it: {', '.join(near)}" if near else ""
    raise SettingsError(f"{place} is {_quoted(name, value)}; allowed: {may_be.words}{like}")


def _quoted(name: str, value: Any) -> str:
    if name not in SECRETS:
        return repr(value)
    return repr(masked(value)) if isinstance(value, str) and "://" in value else "not such a value"


def _masked(name: str, value: str) -> str:
    mask: Callable[[str], str] = FIELDS[name].metadata["mask"]
    return mask(value)
