"""Numbers, names and times as the report tells them."""

from __future__ import annotations

from collections.abc import Sequence


def percent(share: float) -> str:
    """A share.

    >>> percent(0.175), percent(0.5), percent(0.00001), percent(0.99999), percent(0), percent(1)
    ('17.5%', '50%', '<0.1%', '>99.9%', '0%', '100%')
    """
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}".replace(".0%", "%")


def people(count: int) -> str:
    """A number of users.

    >>> people(1), people(1_200)
    ('1 user', '1,200 users')
    """
    return plural(count, "user")


def plural(count: int, word: str) -> str:
    """A number of things.

    >>> plural(1, "move"), plural(0, "move")
    ('1 move', '0 moves')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def span(milliseconds: int) -> str:
    """How long something has lasted, in its largest unit.

    >>> span(59_000), span(7_300_000), span(200_000_000), span(86_400_000)
    ('59 seconds', '2 hours', '2 days', '1 day')
    """
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if milliseconds >= size:
            return plural(round(milliseconds / size), unit)
    return plural(round(milliseconds / 1_000), "second")


def cut(text: str, most: int) -> str:
    """A text of at most so many characters; what is left out is in the middle, since names often differ at their ends.

    >>> cut("Readers of long articles 12", 15)
    'Readers …les 12'
    """
    if len(text) <= most:
        return text
    head = (most - 1) // 2 + 1
    return f"{text[:head]}…{text[head + 1 - most :]}"


def listed(parts: Sequence[str]) -> str:
    """Several things in one sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
