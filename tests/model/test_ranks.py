"""What segments are called: by their rank, or by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest

from segmenter.errors import UsageError
from segmenter.model.census import UNIT
from segmenter.model.generation import Generation, Lineage, Segment
from segmenter.model.ranks import engagement, ranked, renamed

NAMES = ("total_clicks", "total_searches", "mean_click_ms", "mean_view_ms")
SCALE = (UNIT,) * 4
THREE = ("low_engagement", "moderate_engagement", "highly_engaged")


def of(*values: float) -> tuple[float, ...]:
    """The mean of users who all have these features."""
    return tuple([math.log1p(value) * UNIT for value in values])


def segments(*names: str) -> list[Segment]:
    return [Segment(id, slug, name) for id, (slug, name) in enumerate(zip("abcdefgh", names, strict=False))]


def generation(*named: Segment) -> Generation:
    return Generation(
        number=4,
        cause="step",
        features=("x",),
        centres=tuple((float(n),) for n in range(len(named))),
        segments=named,
        scale=(1.0,),
        fill=(0.0,),
        gain=0.5,
        population=1_000,
        fitted_population=900,
        created_ms=5,
    )


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (of(7, 1, 1e6, 1e6), of(9, 1, 0, 0)),
        (of(7, 4, 1e6, 1e6), of(6, 6, 0, 0)),
        (of(7, 1, 1_000, 1_000), of(7, 1, 1_000, 2_000)),
        (of(7, 1, 1_000, 1_000), of(7, 1, 2_000, 1_000)),
    ],
    ids=["more clicks", "more clicks and searches together", "longer views", "longer clicks"],
)
def test_more_engaged(less: tuple[float, ...], more: tuple[float, ...]) -> None:
    assert engagement(less, NAMES, SCALE) < engagement(more, NAMES, SCALE)


def test_times_are_compared_by_their_scale() -> None:
    """A feature with a wide spread does not outweigh one with a narrow one."""
    scale = (UNIT, UNIT, UNIT, 10 * UNIT)

    one, other = engagement((0, 0, 2 * UNIT, 0), NAMES, scale), engagement((0, 0, 0, 15 * UNIT), NAMES, scale)

    assert one > other


def test_a_feature_of_an_unknown_name_is_a_count() -> None:
    assert engagement(of(3, 4), ("likes", "posts"), SCALE[:2])[0] == pytest.approx(7)


def test_no_number_is_too_large() -> None:
    """As large as a float, or as large below zero."""
    assert engagement(of(1.7e308), ("likes",), (UNIT,)) > engagement(of(1e9), ("likes",), (UNIT,))
    assert engagement((-of(1.7e308)[0],), ("likes",), (UNIT,)) < engagement((0.0,), ("likes",), (UNIT,))


@pytest.mark.parametrize(("found", "slugs"), [(1, "a"), (2, "ae"), (3, "ace"), (4, "abce"), (5, "abcde")])
def test_fewer_segments_take_slugs_spread_evenly(found: int, slugs: str) -> None:
    means: Sequence[tuple[float, ...]] = [(float(n),) for n in range(found)]

    order = ranked(segments(*"ABCDE"[:found]), means, tuple("abcde"), ("x",), (1.0,))

    assert "".join([segment.slug for segment in order.values()]) == slugs


def test_a_name_set_by_hand_stays_with_the_id_whatever_its_rank() -> None:
    before = [Segment(0, "low", "Low"), Segment(1, "mid", "Mid"), Segment(2, "high", "Our fans")]

    order = ranked(before, [(5.0,), (9.0,), (1.0,)], ("low", "mid", "high"), ("x",), (1.0,))

    assert list(order.values()) == [Segment(2, "low", "Our fans"), Segment(0, "mid", "Mid"), Segment(1, "high", "High")]


def test_a_rename_is_a_generation_that_moves_nobody() -> None:
    before = generation(Segment(0, "low", "Low"), Segment(7, "high", "High"))

    after = renamed(before, "high", "Our fans", ("low", "high"), now_ms=9)

    assert (after.number, after.cause, after.gain, after.created_ms) == (5, "rename", 0.0, 9)
    assert after.segments == (Segment(0, "low", "Low"), Segment(7, "high", "Our fans"))
    assert (after.centres, after.population, after.fitted_population) == (before.centres, 1_000, 900)
    assert Generation.decode(after.encode()) == after


def test_a_name_can_be_taken_back() -> None:
    before = generation(Segment(0, "low", "Our fans"), Segment(7, "high", "High"))

    after = renamed(before, "low", "Low", ("low", "high"), now_ms=9)

    assert after.segments[0] == Segment(0, "low", "Low")


@pytest.mark.parametrize("name", ["F", "x" * 64])
def test_a_name_has_one_to_64_characters(name: str) -> None:
    after = renamed(generation(Segment(0, "low", "Low")), "low", name, ("low",), now_ms=9)
    assert after.segments == (Segment(0, "low", name),)


def test_a_rename_tells_nothing_of_the_generation_before() -> None:
    """What a refit changed is told once."""
    before = msgspec.structs.replace(generation(Segment(0, "low", "Low")), changes=(Lineage("birth", 0),))
    assert renamed(before, "low", "Fans", ("low",), now_ms=9).changes == ()


@pytest.mark.parametrize(
    ("slug", "name", "says"),
    [
        ("moderate_engagement", "Readers", "there is no segment 'moderate_engagement'; there are: low_engagement, "),
        ("low_engagement", "Our fans", "is the name of another segment"),
        ("low_engagement", "Moderate engagement", "is the name of another segment"),
        ("low_engagement", "", "1 to 64 printable"),
        ("low_engagement", " Fans", "1 to 64 printable"),
        ("low_engagement", "a\x1b[31m", "1 to 64 printable"),
        ("low_engagement", "x" * 65, "1 to 64 printable"),
    ],
)
def test_a_name_that_cannot_be_had(slug: str, name: str, says: str) -> None:
    """Unknown slugs, and names that another segment has, or would have, or that cannot be shown."""
    model = generation(Segment(0, "low_engagement", "Low engagement"), Segment(1, "highly_engaged", "Our fans"))

    with pytest.raises(UsageError, match=says):
        renamed(model, slug, name, THREE, now_ms=0)
