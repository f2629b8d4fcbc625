"""The profile of a segment as tables, for `segmenter segments show` and `compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from segmenter.analysis.profiles.amounts import AmountProfile, Amounts
from segmenter.analysis.profiles.demographics import AttributeProfile, Finding
from segmenter.analysis.profiles.features import FeatureProfile, Spread
from segmenter.analysis.profiles.lifts import LEAST_SHARE, LEAST_USERS, Lift
from segmenter.analysis.profiles.profile import Profile
from segmenter.analysis.profiles.times import WEEKDAYS, TimeProfile, Times
from segmenter.analysis.profiles.words import duration, money, printable
from segmenter.cli import common
from segmenter.operations.segments.profiles import Profiles

LONGEST = 60
"""Characters of a value that are shown; --json has all that is kept."""


def show_profile(found: Profiles) -> None:
    """Print the only profile of ``found``."""
    (profile,) = found.profiles
    other = profile.against or "others"
    of = f"snapshot {found.snapshot_id}" + (f", run {found.run_id}" if found.run_id else "")
    _line(f"{profile.name} ({profile.slug}): {profile.users:,} of {found.users:,} users, {profile.share:.1%}; {of}")
    _line(f"compared with {profile.others:,} users: {profile.against or 'all others'}")
    if found.events_missing:
        _line(f"the sink has yet to load {found.events_missing:,} events of this snapshot: `segmenter sink --once`")
    for sentence in profile.sentences:
        _line(f"  {sentence}")
    _line(f"Action{' (default)' if profile.action_is_default else ''}: {profile.action}")
    if not profile.users:
        return
    common.console.print(_features(profile, found.currency, other))
    for amounts in profile.amounts:
        common.console.print(_amounts(amounts, found.currency, other))
    _show_times(profile.times, other)
    for what, lifts in profile.values.items():
        if lifts:
            common.console.print(_lifts(what, lifts, profile.against or "all users"))
    for attribute in profile.attributes:
        _show_attribute(attribute, other)


def _cell(text: str) -> Text:
    shown = printable(text)
    return Text(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")


def _line(text: str) -> None:
    common.console.print(printable(text), markup=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(printable(title)))
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left")
    return table


def _features(profile: Profile, currency: str, other: str) -> Table:
    table = _table(
        "features; difference: Cohen's d of log(1 + x), the scale of the live model",
        *("feature", "mean", f"mean of {other}", "difference", "median", "quartiles", "deviation", "missing"),
    )
    for each in profile.features:
        inside = each.inside

        def told(number: float | None, each: FeatureProfile = each) -> str:
            return _told(number, each.unit, currency)

        quartiles = f"{told(inside.lower_quartile)} to {told(inside.upper_quartile)}" if inside.users else "-"
        table.add_row(
            each.name, told(inside.mean), told(each.outside.mean),
            "-" if each.difference is None else f"{each.difference:+.2f}",
            told(inside.median), quartiles, told(inside.deviation), _missing(inside),
        )  # fmt: skip
    return table


def _told(number: float | None, unit: str, currency: str) -> str:
    if number is None:
        return "-"
    if unit == "milliseconds":
        return duration(number)
    return money(number, currency) if unit == "minor units" else f"{number:,.1f}"


def _missing(spread: Spread) -> str:
    users = spread.users + spread.missing
    return f"{spread.missing:,} ({spread.missing / users:.1%})" if users else "-"


def _amounts(profile: AmountProfile, currency: str, other: str) -> Table:
    table = _table(f"{profile.kind}: amounts without refunds, and refunds", "", "segment", other)

    def mean(number: float | None) -> str:
        return "-" if number is None else money(number, currency)

    rows: dict[str, Callable[[Amounts], str]] = {
        "buyers": lambda side: f"{side.buyers:,}",
        "payments": lambda side: f"{side.payments:,}",
        "total": lambda side: money(side.paid, currency),
        "per user": lambda side: mean(side.paid_per_user),
        "per buyer": lambda side: mean(side.paid_per_buyer),
        "per payment": lambda side: mean(side.paid_per_payment),
        "refunds": lambda side: f"{side.refunds:,}, {money(side.refunded, currency)}",
    }
    for name, told in rows.items():
        table.add_row(name, told(profile.inside), told(profile.outside))
    return table


def _show_times(times: TimeProfile, other: str) -> None:
    if not times.inside.events:
        _line("no events in the warehouse")
        return
    hours = _table(f"share of {times.inside.events:,} events by hour, {times.timezone}", "hour", "segment", other)
    days = _table("and by day of the week", "day", "segment", other)

    def rows(table: Table, names: Sequence[str], counts: Callable[[Times], list[int]]) -> Table:
        for at, name in enumerate(names):
            shares = [counts(side)[at] / side.events if side.events else None for side in (times.inside, times.outside)]
            table.add_row(name, *["-" if share is None else f"{share:.1%}" for share in shares])
        return table

    common.console.print(rows(hours, [f"{hour:02}:00" for hour in range(24)], lambda side: side.hours))
    common.console.print(rows(days, WEEKDAYS, lambda side: side.weekdays))


def _lifts(what: str, lifts: Sequence[Lift], base: str) -> Table:
    least = f"of at least {LEAST_USERS} users and {LEAST_SHARE:.0%}"
    table = _table(f"{what}, by lift, {least}", what, "users", "share", f"share of {base}", "lift")
    for each in lifts:
        lift = "only here" if each.lift is None else f"{each.lift:.2f}"
        table.add_row(_cell(each.value), f"{each.users:,}", f"{each.share:.1%}", f"{each.base_share:.1%}", lift)
    return table


def _show_attribute(profile: AttributeProfile, other: str) -> None:
    known = f"known of {profile.known:,} users, unknown of {profile.unknown:,}"
    against = f"of {other}: known of {profile.known_outside:,}, unknown of {profile.unknown_outside:,}"
    title = f"{profile.name}: {known}; {against}"
    if profile.type == "date":
        _line(f"{title}. Median {profile.median_day or '-'} against {profile.median_day_outside or '-'}")
    elif not profile.findings:
        _line(f"{title}. Nothing to compare")
    elif profile.type == "number":
        (test,) = profile.findings
        _line(
            f"{title}. Median {test.inside:,.2f} against {test.outside:,.2f}, mean {test.inside_mean:,.2f} against "
            f"{test.outside_mean:,.2f}; {_chance(test)}"
        )
    else:
        table = _table(title, "value", "users", "share", f"share of {other}", "corrected p")
        for test in profile.findings:
            shares = f"{test.inside:.1%}", f"{test.outside:.1%}"
            table.add_row(_cell(test.value or ""), f"{test.inside_users:,}", *shares, _chance(test))
        common.console.print(table)


def _chance(test: Finding) -> str:
    p = "<0.001" if test.corrected_p < 0.001 else f"{test.corrected_p:.3f}"
    return f"{p}{' significant' if test.significant else ''}"
