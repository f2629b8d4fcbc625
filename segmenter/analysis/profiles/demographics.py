"""What is known of a segment's users beside their events, tested against others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from segmenter.analysis.profiles.holm import SIGNIFICANT, holm
from segmenter.analysis.profiles.lifts import LEAST_SHARE, LEAST_USERS
from segmenter.analysis.profiles.sides import AttributeCounts, Sides

if TYPE_CHECKING:
    import pandas as pd


class Finding(msgspec.Struct, frozen=True):
    """A value of a category, or a number as a whole, in a segment and among those that it is compared with.

    ``inside`` and ``outside`` are shares of the users with the attribute, or medians.
    """

    value: str | None
    """None of a number."""
    inside: float
    outside: float
    inside_users: int
    outside_users: int
    inside_mean: float | None
    outside_mean: float | None
    """Of a number."""
    p: float
    corrected_p: float
    significant: bool
    """Whether the corrected p-value is below 0.05."""


class AttributeProfile(msgspec.Struct, frozen=True):
    """One attribute. Users of whom it is not known have no part in it; they are counted."""

    name: str
    type: str
    known: int
    unknown: int
    known_outside: int
    unknown_outside: int
    findings: list[Finding]
    """Of a category, the values with support, the significant ones first."""
    median_day: str | None
    median_day_outside: str | None
    """Of a date: the day in the middle, the earlier of two."""


def attribute_profiles(
    attributes: Sequence[AttributeCounts], sides: Sides, users: int, others: int
) -> list[AttributeProfile]:
    """All attributes, of ``users`` users and of ``others``. The p-values are corrected over all tests together.

    Of a category, a value is tested by Fisher's exact test, two-sided, if at least 5, and 1 %, of all users on both
    sides with the attribute have it; of a number, by the test of Mann and Whitney. Without a user on each side there
    is no test.

    References: Fisher, Statistical Methods for Research Workers, 1934. Mann and Whitney, On a Test of Whether one of
    Two Random Variables is Stochastically Larger than the Other, 1947.
    """
    profiles = [_profile(each, sides, users, others) for each in attributes]
    corrected = iter(holm([test.p for profile in profiles for test in profile.findings]))
    return [msgspec.structs.replace(each, findings=_corrected(each.findings, corrected)) for each in profiles]


def _corrected(findings: Sequence[Finding], corrected: Iterator[float]) -> list[Finding]:
    found = []
    for test in findings:
        p = next(corrected)
        found.append(msgspec.structs.replace(test, corrected_p=p, significant=p < SIGNIFICANT))
    return sorted(found, key=lambda test: (not test.significant, test.p, test.value or ""))


def _profile(counts: AttributeCounts, sides: Sides, users: int, others: int) -> AttributeProfile:
    values = counts.values
    inside, outside = values[sides.inside(values["label"])], values[sides.outside(values["label"])]
    known, known_outside = [
        int(counts.known["users"][side(counts.known["label"])].sum()) for side in (sides.inside, sides.outside)
    ]
    findings: list[Finding] = []
    days: list[str | None] = [None, None]
    if counts.type == "date":
        days = [_median_day(inside), _median_day(outside)]
    elif known and known_outside:
        both = (inside, outside, known, known_outside)
        findings = [_number(inside, outside)] if counts.type == "number" else _categories(*both)
    return AttributeProfile(
        counts.name, counts.type, known, users - known, known_outside, others - known_outside, findings, *days
    )


def _categories(inside: pd.DataFrame, outside: pd.DataFrame, known: int, known_outside: int) -> list[Finding]:
    from scipy.stats import fisher_exact

    names = dict(zip(inside["key"], inside["value"], strict=True))
    names |= dict(zip(outside["key"], outside["value"], strict=True))
    having, having_outside = [side.groupby("key")["users"].sum().to_dict() for side in (inside, outside)]
    least = max(LEAST_USERS, LEAST_SHARE * (known + known_outside))
    findings = []
    for key, value in names.items():
        one, other = int(having.get(key, 0)), int(having_outside.get(key, 0))
        if one + other >= least:
            p = float(fisher_exact([[one, known - one], [other, known_outside - other]]).pvalue)
            shares = one / known, other / known_outside
            findings.append(Finding(value, *shares, one, other, None, None, min(1.0, p), 1.0, False))
    return findings


def _number(inside: pd.DataFrame, outside: pd.DataFrame) -> Finding:
    from scipy.stats import mannwhitneyu

    one, other = _repeated(inside), _repeated(outside)
    p = 1.0 if np.ptp(np.concatenate([one, other])) == 0 else float(mannwhitneyu(one, other).pvalue)
    medians, means = [[float(each(side)) for side in (one, other)] for each in (np.median, np.mean)]
    return Finding(None, medians[0], medians[1], len(one), len(other), means[0], means[1], p, 1.0, False)


def _repeated(counted: pd.DataFrame) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = np.repeat(counted["value"].to_numpy(), counted["users"].to_numpy())
    return numbers


def _median_day(counted: pd.DataFrame) -> str | None:
    if counted.empty:
        return None
    ordered = counted.groupby("value")["users"].sum().sort_index().cumsum()
    return str(ordered.index[int((ordered >= (ordered.iloc[-1] + 1) // 2).argmax())])
