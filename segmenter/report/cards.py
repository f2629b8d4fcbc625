"""What a reader may act on: each segment with its size, what sets it apart, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from segmenter.analysis.profiles.profile import Profile
from segmenter.analysis.profiles.words import money
from segmenter.report.facts import Facts
from segmenter.report.style import marks_of
from segmenter.report.words import people, percent

MOST = 5
"""Of each field, so many values are shown."""


class Value(NamedTuple):
    """A value that more of the segment's users have than others."""

    text: str
    users: str
    lift: str


class Card(NamedTuple):
    """One segment."""

    slug: str
    name: str
    colour: str
    size: str
    share: str
    sentences: Sequence[str]
    action: str
    action_is_default: bool
    values: dict[str, list[Value]]
    """By what they are: pages, items, queries, devices and properties of events."""


def cards_of(facts: Facts) -> list[Card]:
    """A card for each segment, the least engaged first."""
    marks = marks_of(list(facts.names))
    return [
        Card(
            slug=slug,
            name=facts.names[slug],
            colour=marks[slug].colour,
            size=people(profile.users),
            share=percent(profile.share),
            sentences=[*profile.sentences, *_amounts(profile, facts), *_attributes(profile)],
            action=profile.action,
            action_is_default=profile.action_is_default,
            values=_values(profile),
        )
        for slug, profile in facts.profiles.items()
    ]


def _values(profile: Profile) -> dict[str, list[Value]]:
    return {
        what: [
            Value(
                each.value,
                f"{each.users:,} ({percent(each.share)})",
                "only here" if each.lift is None else f"× {each.lift:.1f}",
            )
            for each in lifts[:MOST]
        ]
        for what, lifts in profile.values.items()
        if lifts
    }


def _amounts(profile: Profile, facts: Facts) -> list[str]:
    plurals = {kind.name: kind.plural.replace("_", " ") for kind in facts.kinds}
    return [
        f"{people(each.inside.buyers)} with {plurals[each.kind]}, for {money(each.inside.paid, facts.currency)} in "
        f"all, {money(each.inside.paid_per_user or 0, facts.currency)} per user of the segment."
        for each in profile.amounts
        if each.inside.payments
    ]


def _attributes(profile: Profile) -> list[str]:
    """The values of attributes that are significantly more or less common than among others."""
    said = []
    for attribute in profile.attributes:
        name = attribute.name.replace("_", " ")
        for each in [each for each in attribute.findings if each.significant][:MOST]:
            if each.value is None:
                said.append(f"Their median {name} is {each.inside:,.4g}, that of others {each.outside:,.4g}.")
            else:
                said.append(f"{name}: {percent(each.inside)} are “{each.value}”, of others {percent(each.outside)}.")
    return said
