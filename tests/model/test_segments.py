"""Segments keep their id, slug and name while centres are found anew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segmenter.model.census import tally
from segmenter.model.generation import UNASSIGNED, Generation, Lineage, Segment
from segmenter.model.kmeans import judge
from segmenter.model.segments import NAMES, engagement, initial, match, refitted

SCALE = (2.0, 2.0)
THREE = ("low_engagement", "moderate_engagement", "highly_engaged")


def generation(centres: Sequence[tuple[float, ...]], names: tuple[str, ...] = THREE) -> Generation:
    """A first generation with these centres, which must be in order of engagement."""
    first = initial(centres, SCALE, names)
    assert first.centres == tuple(centres)
    return Generation(
        number=1,
        cause="bootstrap",
        features=("a", "b"),
        centres=first.centres,
        segments=first.segments,
        scale=SCALE,
        fill=(0.0, 0.0),
        population=1,
        fitted_population=1,
        created_ms=0,
    )


def blobs(middles: list[int], each: int = 60) -> NDArray[np.int64]:
    """Users about ``(middle, middle)``."""
    random = np.random.default_rng(len(middles))
    return np.concatenate([random.integers(middle - 50, middle + 50, (each, 2)) for middle in middles])


def refit(
    vectors: NDArray[np.int64], before: Generation | None, names: tuple[str, ...] = THREE, margin: float = 0.01
) -> Generation | None:
    census = tally(vectors, judge(vectors, before))
    return refitted(vectors, census, before, names, seed=1, now_ms=5, margin=margin, features=("a", "b"))


def test_the_first_segments_are_named_by_engagement() -> None:
    found = initial([(9.0, 9.0), (0.0, 1.0), (8.0, 0.0)], SCALE, THREE)

    assert found.centres == ((0.0, 1.0), (8.0, 0.0), (9.0, 9.0))
    assert found.segments == (
        Segment(0, "low_engagement", "Low engagement"),
        Segment(1, "moderate_engagement", "Moderate engagement"),
        Segment(2, "highly_engaged", "Highly engaged"),
    )


def test_engagement_is_measured_in_scaled_units() -> None:
    """A long time in milliseconds does not outweigh many clicks."""
    assert engagement((3.0, 1000.0), (1.0, 1000.0)) > engagement((1.0, 2000.0), (1.0, 1000.0))


@pytest.mark.parametrize(("found", "slugs"), [(1, "a"), (2, "ae"), (3, "ace"), (4, "abde"), (5, "abcde")])
def test_fewer_centres_take_names_spread_evenly(found: int, slugs: str) -> None:
    centres = [(float(n), 0.0) for n in range(found)]

    chosen = [segment.slug for segment in initial(centres, SCALE, tuple("abcde")).segments]

    assert len(set(chosen)) == found
    assert (chosen[0], chosen[-1]) == (slugs[0], slugs[-1])


@settings(deadline=None)
@given(st.permutations(range(5)), st.lists(st.floats(-0.9, 0.9), min_size=10, max_size=10))
def test_segments_survive_centres_in_another_order(order: list[int], shifts: list[float]) -> None:
    """Each new centre lies close to one old centre: that one's segment it is."""
    before = generation([(2.0 * n, 2.0 * n) for n in range(5)], tuple("abcde"))
    moved = [(2.0 * n + shifts[2 * n], 2.0 * n + shifts[2 * n + 1] * 0.1) for n in range(5)]

    found = match(before, [moved[n] for n in order], SCALE)

    assert found.segments == before.segments
    assert found.centres == tuple(moved)
    assert (found.changes, found.retired) == ((), ())


def test_a_birth_takes_an_unused_name_and_a_new_id() -> None:
    before = generation([(0.0, 0.0), (9.0, 9.0)])
    assert [segment.slug for segment in before.segments] == ["low_engagement", "highly_engaged"]

    found = match(before, [(5.0, 5.0), (9.0, 9.0), (0.0, 0.0)], SCALE, THREE)

    born = Segment(2, "moderate_engagement", "Moderate engagement")
    assert found.segments == (*before.segments, born)
    assert found.centres == ((0.0, 0.0), (9.0, 9.0), (5.0, 5.0))
    assert found.changes == (Lineage("birth", 2),)


def test_two_old_segments_under_one_new_centre_are_a_merge() -> None:
    before = generation([(0.0, 0.0), (1.0, 1.0), (9.0, 9.0)])

    found = match(before, [(9.0, 9.0), (0.9, 0.9)], SCALE)

    assert [segment.id for segment in found.segments] == [1, 2]
    assert found.centres == ((0.9, 0.9), (9.0, 9.0))
    assert found.retired == (before.segments[0],)
    assert found.changes == (Lineage("merge", 0, into=1),)


def test_a_segment_whose_place_another_takes_retires() -> None:
    """New at 0 and 2.5: the one at 2.6 stays, the one at 1.5 has to move to 0, and the one at -2 is left over."""
    before = generation([(-2.0, 0.0), (1.5, 0.0), (2.6, 0.0)])

    found = match(before, [(2.5, 0.0), (0.0, 0.0)], SCALE)

    assert [segment.id for segment in found.segments] == [1, 2]
    assert found.changes == (Lineage("retirement", 0, into=1),)


def test_ids_and_slugs_of_the_retired_never_come_back() -> None:
    model = generation([(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)])
    seen = {(segment.id, segment.slug) for segment in model.segments}
    for round in range(4):
        few = match(model, [(0.0, 0.0), (9.0, 9.0)], SCALE, THREE)
        model = msgspec.structs.replace(model, centres=few.centres, segments=few.segments, retired=few.retired)
        many = match(model, [(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)], SCALE, THREE)
        model = msgspec.structs.replace(model, centres=many.centres, segments=many.segments, retired=many.retired)

        (born,) = [segment for segment in model.segments if segment.id == 3 + round]
        assert born == Segment(3 + round, f"segment_{3 + round}", f"Segment {3 + round}")
        assert (born.id, born.slug) not in seen
        seen.add((born.id, born.slug))


def test_a_birth_does_not_take_a_slug_that_settings_name() -> None:
    before = generation([(0.0, 0.0)], ("segment_1", "b"))

    found = match(before, [(0.0, 0.0), (9.0, 9.0), (20.0, 20.0), (30.0, 30.0)], SCALE, ("segment_1", "segment_2"))

    assert [segment.slug for segment in found.segments] == ["segment_1", "segment_2", "segment_4", "segment_5"]


def test_the_first_generation_names_its_segments_and_its_population() -> None:
    found = refit(blobs([9000, 100, 3000]), None)

    assert found is not None
    assert (found.number, found.cause, found.population, found.fitted_population) == (1, "bootstrap", 180, 180)
    assert found.slugs == THREE
    assert found.centres == tuple(sorted(found.centres))
    assert (found.features, found.created_ms, found.gain) == (("a", "b"), 5, 0.0)
    assert judge(np.array([[0, 0], [3000, 3000], [10_000, 10_000]]), found) == list(THREE)


def test_without_users_there_is_no_generation() -> None:
    assert refit(np.zeros((0, 2), dtype=np.int64), None) is None


def test_by_default_a_generation_is_of_the_features_of_a_user() -> None:
    vectors = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])

    found = refitted(vectors, tally(vectors, [UNASSIGNED] * 2), None, ("a", "b"), seed=0, now_ms=0, margin=0.0)

    assert found is not None
    assert found.features == NAMES == ("total_clicks", "total_searches", "mean_click_ms", "mean_view_ms")


def test_segments_survive_a_refit() -> None:
    """The users of each segment drift somewhat, and a worse model is in force."""
    first = refit(blobs([100, 3000, 9000]), None)
    assert first is not None
    drifted = blobs([9500, 300, 3600])

    second = refit(drifted, first)

    assert second is not None
    assert (second.number, second.cause) == (2, "refit")
    assert second.segments == first.segments
    assert second.gain > 0.01
    assert judge(np.array([[300, 300], [3600, 3600], [9500, 9500]]), second) == list(THREE)


def test_a_refit_no_better_than_the_present_one_is_not_taken() -> None:
    users = blobs([100, 3000, 9000])
    first = refit(users, None)
    assert first is not None

    assert refit(users, first, margin=0.0) is None
    assert refit(blobs([300, 3600, 9500]), first, margin=0.999999) is None


def test_another_number_of_names_is_followed() -> None:
    users = blobs([100, 3000, 6000, 9000])
    three = refit(users, None)
    assert three is not None

    four = refit(users, three, (*THREE, "fans"))
    assert four is not None
    assert [segment.slug for segment in four.segments] == [*THREE, "fans"]
    assert four.changes == (Lineage("birth", 3),)

    two = refit(users, four, THREE[:2])
    assert two is not None
    assert len(two.segments) == 2
    assert {change.kind for change in two.changes} <= {"merge", "retirement"}
    assert {segment.id for segment in (*two.segments, *two.retired)} == {0, 1, 2, 3}


def test_a_poor_sample_retires_nobody() -> None:
    """Two different vectors among the sampled users are no reason to give up the third segment."""
    first = refit(blobs([100, 3000, 9000]), None)

    assert refit(np.array([[100, 100], [9000, 9000]] * 5), first) is None


def test_a_poor_start_grows_to_the_number_asked_for() -> None:
    first = refit(np.array([[100, 100], [9000, 9000]] * 5), None)
    assert first is not None
    assert first.slugs == ("low_engagement", "highly_engaged")

    second = refit(blobs([100, 3000, 9000]), first)

    assert second is not None
    assert judge(np.array([[0, 0], [3000, 3000], [10_000, 10_000]]), second) == list(THREE)


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_matching_is_the_cheapest_of_all(random: random.Random) -> None:
    """Brute force over all ways to pair three old centres with three new ones."""

    def somewhere() -> tuple[float, float]:
        return random.uniform(0, 9), random.uniform(0, 9)

    old = sorted([somewhere() for _ in range(3)], key=lambda centre: engagement(centre, SCALE))
    new = [somewhere() for _ in range(3)]

    def cost(pairing: tuple[tuple[float, ...], ...]) -> float:
        return sum(
            (a - b) ** 2 for one, other in zip(old, pairing, strict=True) for a, b in zip(one, other, strict=True)
        )

    found = match(generation(old), new, SCALE)

    assert cost(found.centres) == pytest.approx(min(map(cost, permutations(new))))
