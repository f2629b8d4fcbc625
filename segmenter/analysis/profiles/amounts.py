"""What a segment's users pay and get back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from segmenter.analysis.profiles.sides import Sides

if TYPE_CHECKING:
    import pandas as pd


class Amounts(msgspec.Struct, frozen=True):
    """Amounts of some users, in minor units of the currency; refunds, which are below 0, are apart."""

    buyers: int
    """How many users have at least one amount that is not a refund."""
    payments: int
    paid: int
    refunds: int
    refunded: int
    """What the refunds come to, above 0."""
    paid_per_user: float | None
    paid_per_buyer: float | None
    paid_per_payment: float | None


class AmountProfile(msgspec.Struct, frozen=True):
    """The amounts of one kind of event, of the users of a segment and of those that they are compared with."""

    kind: str
    inside: Amounts
    outside: Amounts


def amount_profile(kind: str, counted: pd.DataFrame, sides: Sides, users: int, others: int) -> AmountProfile:
    """The amounts of ``users`` users and of ``others``, from one row a label."""
    labels = counted["label"]
    return AmountProfile(
        kind, _amounts(counted[sides.inside(labels)], users), _amounts(counted[sides.outside(labels)], others)
    )


def _amounts(counted: pd.DataFrame, users: int) -> Amounts:
    names = ("buyers", "payments", "paid", "refunds", "refunded")
    buyers, payments, paid, refunds, refunded = [int(counted[name].sum()) for name in names]
    means = [paid / count if count else None for count in (users, buyers, payments)]
    return Amounts(buyers, payments, paid, refunds, refunded, *means)
