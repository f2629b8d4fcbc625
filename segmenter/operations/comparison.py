"""Stream minus batch: the comparison of what two independent computations say of the same users.

A user *differs* when both know them and a number is not the same, is *missing* when only the batch knows them (there
are events below the cut and no row), and *extra* when only the stream does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from segmenter.operations.integrity.differences import Difference

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

    @property
    def equal(self) -> bool:
        """Whether the stream equals the batch."""
        return not (self.differing or self.missing or self.extra or self.counts)


def compare(
    fields: Sequence[str],
    stream: Mapping[bytes, Sequence[Number]],
    batch: Mapping[bytes, Sequence[Number]],
    examples: int = 5,
) -> Reconciliation:
    """Compare rows by user, their values in the order of ``fields``; keep the first ``examples`` by user id.

    >>> compare(["clicks"], {b"a": (1,), b"b": (2,)}, {b"b": (3,)}).examples[1]
    Example(user=b'b', verdict='differing', fields={'clicks': (2, 3)})
    """
    both = stream.keys() & batch.keys()
    differing = {user for user in both if tuple(stream[user]) != tuple(batch[user])}
    unequal = sorted(differing | (stream.keys() ^ batch.keys()))
    return Reconciliation(
        compared=len(both),
        differing=len(differing),
        missing=len(batch.keys() - stream.keys()),
        extra=len(stream.keys() - batch.keys()),
        examples=tuple(_example(user, fields, stream.get(user), batch.get(user)) for user in unequal[:examples]),
    )


def _example(
    user: bytes, fields: Sequence[str], stream: Sequence[Number] | None, batch: Sequence[Number] | None
) -> Example:
    verdict = "missing" if stream is None else "extra" if batch is None else "differing"
    nothing = (None,) * len(fields)
    pairs = zip(fields, stream or nothing, batch or nothing, strict=True)
    return Example(user, verdict, {name: (left, right) for name, left, right in pairs if left != right})
