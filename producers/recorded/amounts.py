"""Reading amounts of money from text, exactly: no float is ever involved."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{0,9})?", re.ASCII)
_TINY = re.compile(r"[+-]?\d(\.\d{1,17})?e-\d{1,3}", re.ASCII)
_FINEST = Decimal("1e-9")


def number(text: str) -> Decimal:
    """The number in a text. Raises ValueError that says what was expected.

    One so small that software writes it with a negative exponent is what is left of a sum of floats: it is rounded to
    nine decimals, and hardly ever above 0.

    >>> number("-12.50"), number("2.220446e-16")
    (Decimal('-12.50'), Decimal('0E-9'))
    """
    if _TINY.fullmatch(text):
        return Decimal(text).quantize(_FINEST)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a number such as 12.50 or -3")
    return Decimal(text)


def minor_units(amount: Decimal, unit: str) -> int:
    """An amount in minor units, given in ``major`` ones (hundreds of these) or ``minor`` ones; half rounds to even.

    >>> minor_units(Decimal("12.505"), "major")
    1250
    """
    exact = amount * 100 if unit == "major" else amount
    return int(exact.to_integral_value(ROUND_HALF_EVEN))
