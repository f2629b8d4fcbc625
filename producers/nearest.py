"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A sentence to append to an error, with a space before it, or nothing when no name is near.

    >>> did_you_mean("timestmp", ["timestamp", "userId"])
    " Did you mean 'timestamp'?"
    """
    near = get_close_matches(name, list(allowed), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
