"""Numbers as people say them."""

from __future__ import annotations

_NO_DECIMALS = frozenset(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    )
)
_THREE_DECIMALS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


def money(minor_units: float, currency: str) -> str:
    """An amount in the units of a currency of ISO 4217.

    >>> money(123_456, "EUR"), money(-500, "JPY")
    ('EUR 1,234.56', 'JPY -500')
    """
    digits = decimals(currency)
    return f"{currency} {minor_units / 10**digits:,.{digits}f}"


def decimals(currency: str) -> int:
    """How many digits of an amount in the units of a currency of ISO 4217 are behind the point."""
    return 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2


def duration(milliseconds: float) -> str:
    """How long something took.

    >>> duration(640), duration(4_200), duration(250_000), duration(7_500_000)
    ('640 ms', '4.2 s', '4 min 10 s', '2 h 5 min')
    """
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1_000:.1f} s"
    seconds = round(milliseconds / 1_000)
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    minutes = round(milliseconds / 60_000)
    return f"{minutes // 60:,} h {minutes % 60} min"


def count(number: float) -> str:
    """How many, on average.

    >>> count(3.25), count(1_234.5)
    ('3.2', '1,234')
    """
    return f"{number:,.1f}" if abs(number) < 100 else f"{number:,.0f}"


def times_as(ratio: float, manner: str) -> str:
    """A ratio.

    >>> times_as(3.21, "often"), times_as(0.3, "long"), times_as(1.0, "often"), times_as(0.001, "much")
    ('3.2 times as often', 'only 30% as long', 'about as often', 'less than 1% as much')
    """
    if ratio < 0.01:
        return f"less than 1% as {manner}"
    if ratio < 0.95:
        return f"only {ratio:.0%} as {manner}"
    if ratio < 1.05:
        return f"about as {manner}"
    return f"{ratio:,.1f} times as {manner}" if ratio < 100 else f"{ratio:,.0f} times as {manner}"


def printable(text: str) -> str:
    """A text that somebody else chose, with all that is no printable character escaped.

    >>> print(printable("a b\\n\\x1b[31m"))
    a b\\n\\x1b[31m
    """
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])
