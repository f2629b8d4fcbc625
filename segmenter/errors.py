"""All errors that this package raises on purpose.

::

    SegmenterError
    ├── PromiseBroken          exit 1: something that is promised does not hold
    │   ├── TopicRecreated       the topic is not the one that the stored offsets belong to
    │   ├── LogTruncated         the log no longer holds an offset that is needed
    │   ├── Corrupt              what Redis holds of a user or a shard cannot be right
    │   ├── WarehouseBehind      the sink has not yet read as far as the snapshot
    │   └── SumTooLarge          a sum of a user needs more than 64 bits
    ├── UsageError             exit 2: the caller can correct it
    │   ├── NothingYet           a step that this needs has not been done yet
    │   ├── SettingsError        a setting is unknown or out of bounds
    │   ├── MappingError         a mapping does not fit its file
    │   ├── Forbidden            a part refuses the user, or what was asked
    │   ├── RulesDiffer          the stored rules for events differ from ours
    │   ├── NewerVersion         what is stored is of a newer version
    │   └── PartitionsDiffer     topics have different numbers of partitions
    ├── Unreachable            exit 3: a part cannot be reached; trying again may help
    │   ├── ClientLost           our own client of a part no longer answers
    │   └── NoStack              no embedded stack runs here
    └── Fenced                 a write was refused, since what it builds on has changed
        ├── OwnershipLost        another process owns the shard now
        └── RolledBack           the store has lost confirmed writes

Each message is one line: what was wrong, what is allowed, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VERIFY = "Run `segmenter verify --repair`."
"""What to do when something in Redis is corrupt."""

START_AFRESH = (
    "Its offsets mean other events now, so nothing can be restored: start afresh with an unused SEGMENTER_KEY_PREFIX "
    "and an empty database as SEGMENTER_WAREHOUSE_URL."
)
"""What to do when a topic was recreated."""


class SegmenterError(Exception):
    """Base of all. ``exit_code`` is the exit code of the command."""

    exit_code = 1


class PromiseBroken(SegmenterError):
    """Something that is promised does not hold."""


class TopicRecreated(PromiseBroken):
    """A topic has another id than the one whose offsets are stored."""

    def __init__(self, topic: str, stored: str, found: str, restore: str = START_AFRESH) -> None:
        super().__init__(
            f"topic {topic!r} was recreated: its id is {found}, the stored offsets belong to {stored}. {restore}"
        )


class LogTruncated(PromiseBroken):
    """The log begins after, or ends before, an offset that must be read next, or has lost what was read before it."""

    def __init__(self, topic: str, part: int, needed: int, but: str, restore: str) -> None:
        super().__init__(
            f"offset {needed} of topic {topic!r} partition {part} must be read next, but the log {but}. {restore}"
        )


class Corrupt(PromiseBroken):
    """What Redis holds of a user or a shard cannot be right, so that it can be neither read nor written to."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {VERIFY}")


class WarehouseBehind(PromiseBroken):
    """The sink has not yet read as far as the snapshot that is to be compared."""


class SumTooLarge(PromiseBroken):
    """A sum of a user needs more than 64 bits. It is never rounded, so the part stops."""

    def __init__(self, user: str, field: str) -> None:
        super().__init__(
            f"{field} of user {user} needs more than 64 bits, which takes millions of events at the bounds: is the key "
            "of these events a user? Stop who publishes them, and go on with an unused SEGMENTER_KEY_PREFIX and "
            "SEGMENTER_TOPIC_PREFIX, and an empty database as SEGMENTER_WAREHOUSE_URL."
        )


class UsageError(SegmenterError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class NothingYet(UsageError):
    """A step that this needs has not been done yet; later it may work."""


class SettingsError(UsageError):
    """A setting is unknown, malformed or out of bounds."""


class MappingError(UsageError):
    """A mapping does not fit the file it is meant for."""


class Forbidden(UsageError):
    """A part refuses the user, or does not allow what was asked; trying again does not help."""


class RulesDiffer(UsageError):
    """The rules for events that are stored with the data differ from ours."""

    def __init__(self, where: str, stored: Mapping[str, object], ours: Mapping[str, object]) -> None:
        names = sorted(name for name in stored.keys() | ours.keys() if stored.get(name) != ours.get(name))
        there, here = [[str(rules.get(name, "missing")) for name in names] for rules in (stored, ours)]
        differing = "; ".join(
            f"{name} is {one} there and {other} here" for name, one, other in zip(names, there, here, strict=True)
        )
        kinds = (
            " Kinds may be added, not taken away or changed (docs/kinds.md)."
            if any(name.startswith("the kind") for name in names)
            else ""
        )
        super().__init__(
            f"the rules in {where} differ: {differing}. Use the same settings, or start with empty parts.{kinds}"
        )


class NewerVersion(UsageError):
    """What is stored is of a newer version than this one."""

    def __init__(self, where: str, unknown: Iterable[str]) -> None:
        super().__init__(
            f"{where} is of a newer version: it has rules that this one does not know ({', '.join(unknown)}). "
            "Use that version, or start with empty parts."
        )


class PartitionsDiffer(UsageError):
    """The topics of one system must have the same number of partitions."""


class Unreachable(SegmenterError):
    """A part cannot be reached, or does not answer as it should."""

    exit_code = 3


class ClientLost(Unreachable):
    """Our own client of a part no longer answers, whatever the part does: only another client can."""


class NoStack(Unreachable):
    """A setting says ``embedded``, but no embedded stack runs here."""


class Fenced(SegmenterError):
    """A write was refused, because what it builds on is no longer as this process last saw it."""


class OwnershipLost(Fenced):
    """Another process has become the shard's owner."""


class RolledBack(Fenced):
    """The store has lost writes that it had confirmed."""
