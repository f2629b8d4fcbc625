"""The profile of a segment: all that sets its users apart, as plain data."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from segmenter.analysis.profiles.actions import suggested
from segmenter.analysis.profiles.amounts import AmountProfile, amount_profile
from segmenter.analysis.profiles.demographics import AttributeProfile, attribute_profiles
from segmenter.analysis.profiles.features import FeatureProfile, feature_profiles
from segmenter.analysis.profiles.lifts import Lift, by_lift
from segmenter.analysis.profiles.sentences import sentence, strongest, time_sentence
from segmenter.analysis.profiles.sides import Sides, Source
from segmenter.analysis.profiles.times import TimeProfile, time_profile
from segmenter.kinds import Kind, catalogue


class Profile(msgspec.Struct, frozen=True):
    """The users of a segment, or of a cluster of a run, and how they differ from others."""

    slug: str
    name: str
    against: str | None
    """The slug of the segment that it is compared with; None: all other users."""
    users: int
    share: float
    """Of all users of the snapshot."""
    others: int
    """How many users it is compared with."""
    sentences: list[str]
    """What sets it apart, the strongest difference first, and when it is active."""
    action: str
    action_is_default: bool
    features: list[FeatureProfile]
    amounts: list[AmountProfile]
    times: TimeProfile
    values: dict[str, list[Lift]]
    """Devices, pages, items, queries and properties of events, each by lift."""
    attributes: list[AttributeProfile]


class Labels(msgspec.Struct, frozen=True):
    """The segments of a snapshot, or the clusters of a run: the name of each and, of those that have a rank, these in
    order, the least engaged first; and the actions that people have set."""

    names: dict[str, str]
    ranked: tuple[str, ...]
    actions: dict[str, str]


def profile_of(
    source: Source, sides: Sides, labels: Labels, kinds: Sequence[Kind], currency: str, timezone: str
) -> Profile:
    """The profile of one segment against another or against all others."""
    of_users = source.users["label"]
    users, others, base = [int(side(of_users).sum()) for side in (sides.inside, sides.outside, sides.base)]
    other = labels.names[sides.against] if sides.against is not None else None
    features = feature_profiles(source.users, sides, catalogue(tuple(kinds)))
    apart = strongest(features)
    from_all = apart if sides.against is None else _apart_from_all(source, sides, kinds)
    times = time_profile(source.quarters, sides, timezone)
    said = [*[sentence(each, kinds, currency, other) for each in apart], time_sentence(times, other)]
    place = labels.ranked.index(sides.label) if sides.label in labels.ranked else None
    stored = labels.actions.get(sides.label)
    return Profile(
        slug=sides.label,
        name=labels.names[sides.label],
        against=sides.against,
        users=users,
        share=users / len(of_users) if len(of_users) else 0.0,
        others=others,
        sentences=[each for each in said if each],
        action=stored or suggested(place, len(labels.ranked), from_all, kinds),
        action_is_default=stored is None,
        features=features,
        amounts=[amount_profile(kind, counted, sides, users, others) for kind, counted in source.amounts.items()],
        times=times,
        values={what: by_lift(counted, sides, users, base) for what, counted in source.values.items()},
        attributes=attribute_profiles(source.attributes, sides, users, others),
    )


def _apart_from_all(source: Source, sides: Sides, kinds: Sequence[Kind]) -> list[FeatureProfile]:
    """By what it is apart from all other users, whichever segment it is compared with: what to do depends on that."""
    return strongest(feature_profiles(source.users, Sides(sides.label, None), catalogue(tuple(kinds))))
