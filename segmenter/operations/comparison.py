"""Stream minus batch: the comparison of what two independent computations say of the same users.

A user *differs* when both know them and a number is not the same, is *missing* when only the batch knows them (there
are events below the cut and no row), and *extra* when only the stream does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from segmenter.operations.integrity.differences import Difference
from segmenter.warehouse import Gap

Number = int | float | None


class Example(NamedTuple):
    """A user who is not the same on both sides, and the (stream, batch) values of each field that differs."""

    user: bytes
    verdict: str
    fields: dict[str, tuple[Number, Number]]


class Reconciliation(NamedTuple):
    """The number of users that both sides know, that differ, and that only one side knows."""

    compared: int
    differing: int
    missing: int
    extra: int
    examples: tuple[Example, ...]
    counts: tuple[Difference, ...] = ()
    """The counts of shards that are not what the batch says."""
    gaps: tuple[Gap, ...] = ()
    """What the warehouse lacks of the events that the stream may have: without these the proof has a hole."""
    in_gaps: int = 0
    """How many of the users who differ or are extra may do so because of the gaps."""
    full: bool = False
    """Whether all raw events were summed up anew, and not only those that the batch summary lacked."""
    summary_wrong: bool = False
    """Whether the batch summary turned out not to be what the raw events add up to; these were taken in its place."""

    @property
    def differs(self) -> bool:
        """Whether a user or a count is not the same on both sides."""
        return bool(self.differing or self.missing or self.extra or self.counts)

    @property
    def equal(self) -> bool:
        """Whether the stream equals the batch, and nothing is missing from the proof."""
        return not (self.differs or self.gaps)


def compare(
    fields: Sequence[str],
    stream: Mapping[bytes, Sequence[Number]],
    batch: Mapping[bytes, Sequence[Number]],
    examples: int = 5,
    in_gap: Callable[[bytes], bool] = lambda user: False,
) -> Reconciliation:
    """Compare rows by user, their values in the order of ``fields``; keep the first ``examples`` by user id.

    ``in_gap`` returns whether a gap may be why a user is not the same on both sides; such users come last.

    >>> compare(["clicks"], {b"a": (1,), b"b": (2,)}, {b"b": (3,)}).examples[1]
    Example(user=b'b', verdict='differing', fields={'clicks': (2, 3)})
    """
    wrong = unequal(stream, batch)
    explained = {user for user in wrong if in_gap(user)}
    shown = [*sorted(wrong - explained), *sorted(explained)][:examples]
    missing, extra = len(batch.keys() - stream.keys()), len(stream.keys() - batch.keys())
    return Reconciliation(
        compared=len(stream.keys() & batch.keys()),
        differing=len(wrong) - missing - extra,
        missing=missing,
        extra=extra,
        examples=tuple(_example(user, fields, stream.get(user), batch.get(user)) for user in shown),
        in_gaps=len(explained),
    )


def unequal(stream: Mapping[bytes, Sequence[Number]], batch: Mapping[bytes, Sequence[Number]]) -> set[bytes]:
    """The users who are not the same on both sides."""
    differing = {user for user in stream.keys() & batch.keys() if tuple(stream[user]) != tuple(batch[user])}
    return differing | (stream.keys() ^ batch.keys())


def _example(
    user: bytes, fields: Sequence[str], stream: Sequence[Number] | None, batch: Sequence[Number] | None
) -> Example:
    verdict = "missing" if stream is None else "extra" if batch is None else "differing"
    nothing = (None,) * len(fields)
    pairs = zip(fields, stream or nothing, batch or nothing, strict=True)
    return Example(user, verdict, {name: (left, right) for name, left, right in pairs if left != right})
