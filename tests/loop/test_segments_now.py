"""What `segmenter segments` says of each segment is what its users do."""

from __future__ import annotations

import math

import pytest

from consumers import worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.operations.segments.live import read_segments
from segmenter.settings import Settings
from tests.defaults import FIELDS
from tests.loop.helpers import rows


def features_of(profile: tuple[int, ...]) -> dict[str, float | None]:
    """The features of a user, as docs/segments.md has them."""
    of = dict(zip(FIELDS, profile, strict=True))
    return {
        "total_clicks": of["clicks"],
        "total_searches": of["searches"],
        "mean_click_ms": of["click_ms"] / of["clicks_timed"] if of["clicks_timed"] else None,
        "mean_view_ms": of["view_ms"] / of["views_timed"] if of["views_timed"] else None,
    }


def expected(of_segment: list[dict[str, float | None]]) -> dict[str, float | None]:
    """exp(m) - 1, where m is the mean of log(1 + x) over the users who have it."""
    typical: dict[str, float | None] = {}
    for name in of_segment[0]:
        has = [math.log1p(value) for each in of_segment if (value := each[name]) is not None]
        typical[name] = math.expm1(sum(has) / len(has)) if has else None
    return typical


@pytest.mark.parametrize("judged", [False, True])
def test_shares_and_typical_values_are_those_of_the_users_who_have_them(settings: Settings, judged: bool) -> None:
    """Before the first generation everybody is in one row, without values.

    About half of these users have never looked at an item.
    """
    publish(settings, generate(2_000, 150, seed=1))
    worker.run(settings, once=True, may_refit=judged)
    by_slug: dict[str, list[dict[str, float | None]]] = {}
    for row in rows(settings).values():
        by_slug.setdefault(row.segment, []).append(features_of(row.profile))
    found = read_segments(settings)
    assert {row.slug for row in found.segments} == set(settings.segments if judged else ["unassigned"])
    lacking = sum(each["mean_view_ms"] is None for users in by_slug.values() for each in users)
    assert 0 < lacking < 150
    for row in found.segments:
        users = by_slug[row.slug]
        assert (row.users, row.share) == (len(users), pytest.approx(len(users) / 150))
        assert row.typical == pytest.approx(expected(users) if judged else {}, rel=0.001)
