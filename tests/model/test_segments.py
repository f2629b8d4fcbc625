"""Segments keep their id while centres are fitted again, and are named by their rank."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import permutations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segmenter.model.census import Census, Tally, tally
from segmenter.model.generation import UNASSIGNED, Generation, Lineage, Segment, Space
from segmenter.model.kmeans import judge, step
from segmenter.model.matching import initial, match
from segmenter.model.ranks import engagement, ranked
from segmenter.model.segments import refitted, successor, unfit
from segmenter.model.vectors import fixed
from segmenter.settings import Settings
from tests.defaults import NAMES

AB = ("a", "b")
SCALE = (2.0, 2.0)
THREE = ("low_engagement", "moderate_engagement", "highly_engaged")


def generation(centres: Sequence[tuple[float, ...]], names: tuple[str, ...] = THREE) -> Generation:
    """A first generation with these centres, which must be in order of engagement."""
    first = initial(centres, AB, SCALE)
    assert first.centres == tuple(centres)
    return Generation(
        number=1,
        cause="bootstrap",
        features=AB,
        centres=first.centres,
        segments=tuple(ranked(first.segments, first.centres, names, AB, SCALE).values()),
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


def uncounted(users: int) -> Census:
    """Before the first generation, a census is no more than the number of users."""
    return {UNASSIGNED: Tally(users, (), (), ())}


def refit(
    vectors: NDArray[np.int64], before: Generation | None, names: tuple[str, ...] = THREE, margin: float = 0.01
) -> Generation | None:
    census = tally(vectors, judge(vectors, before)) if before else uncounted(len(vectors))
    return refitted(vectors, census, before, names, seed=1, now_ms=5, margin=margin, features=AB)


def test_the_first_ids_are_in_order_of_engagement() -> None:
    found = initial([(9.0, 9.0), (0.0, 1.0), (8.0, 0.0)], AB, SCALE)

    assert found.centres == ((0.0, 1.0), (8.0, 0.0), (9.0, 9.0))
    assert [segment.id for segment in found.segments] == [0, 1, 2]


@settings(deadline=None)
@given(st.permutations(range(5)), st.lists(st.floats(-0.9, 0.9), min_size=10, max_size=10))
def test_segments_survive_centres_in_another_order(order: list[int], shifts: list[float]) -> None:
    """Each new centre lies close to one old centre, and takes its segment."""
    before = generation([(2.0 * n, 2.0 * n) for n in range(5)], tuple("abcde"))
    moved = [(2.0 * n + shifts[2 * n], 2.0 * n + shifts[2 * n + 1] * 0.1) for n in range(5)]

    found = match(before, [moved[n] for n in order], SCALE)

    assert found.segments == before.segments
    assert found.centres == tuple(moved)
    assert (found.changes, found.retired) == ((), ())


def test_a_birth_has_a_new_id_and_comes_last() -> None:
    before = generation([(0.0, 0.0), (9.0, 9.0)])

    found = match(before, [(5.0, 5.0), (9.0, 9.0), (0.0, 0.0)], SCALE)

    assert found.segments[:2] == before.segments
    assert [segment.id for segment in found.segments] == [0, 1, 2]
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


def test_ids_of_the_retired_never_come_back() -> None:
    model = generation([(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)])
    seen = {0, 1, 2}
    for _ in range(4):
        few = match(model, [(0.0, 0.0), (9.0, 9.0)], SCALE)
        model = msgspec.structs.replace(model, centres=few.centres, segments=few.segments, retired=few.retired)
        many = match(model, [(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)], SCALE)
        model = msgspec.structs.replace(model, centres=many.centres, segments=many.segments, retired=many.retired)

        (born,) = {segment.id for segment in model.segments} - {0, 2}
        assert born not in seen
        seen.add(born)


def test_all_that_ever_retired_stay_named_and_their_ids_taken() -> None:
    """Also the one with the greatest id, after a fit in which nobody retired."""
    model = generation([(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)])
    two, three = [(0.0, 0.0), (4.0, 4.0)], [(0.0, 0.0), (4.0, 4.0), (9.0, 9.0)]
    retired: list[int] = []
    for centres, gone in ((two, [2]), (two, []), (three, []), (two, [3]), (two, []), (three, [])):
        found = match(model, centres, SCALE)
        retired += gone
        assert [segment.id for segment in found.retired] == retired
        assert {segment.id for segment in found.segments}.isdisjoint(retired)
        model = msgspec.structs.replace(model, centres=found.centres, segments=found.segments, retired=found.retired)


def test_a_fit_to_a_part_of_the_users_is_a_model_of_all() -> None:
    """It says how many there are, and takes scale and fill from all of them, or at first from those it is fitted to."""
    everybody = blobs([9000, 100, 3000], each=200)
    part = everybody[::5]

    first = refitted(part, uncounted(600), None, THREE, seed=1, now_ms=5, margin=0.01, features=AB)
    assert first is not None
    census = tally(everybody, judge(everybody, first))
    names = ("visitor", "reader", "fan")
    later = refitted(part, census, first, names, seed=1, now_ms=5, margin=0.01, features=AB)

    for found, known in ((first, part), (later, everybody)):
        assert found is not None
        assert (found.population, found.fitted_population, found.provisional) == (600, 600, False)
        assert found.fill == pytest.approx(known.mean(axis=0)) and found.scale == pytest.approx(known.std(axis=0))


def test_the_first_generation_names_its_segments_and_its_population() -> None:
    found = refit(blobs([9000, 100, 3000]), None)

    assert found is not None
    assert (found.number, found.cause, found.population, found.fitted_population) == (1, "bootstrap", 180, 180)
    assert found.slugs == THREE
    assert found.centres == tuple(sorted(found.centres))
    assert (found.features, found.created_ms, found.gain) == (AB, 5, 0.0)
    assert judge(np.array([[0, 0], [3000, 3000], [10_000, 10_000]]), found) == list(THREE)


def test_without_users_there_is_no_generation() -> None:
    assert refit(np.zeros((0, 2), dtype=np.int64), None) is None


def test_by_default_a_generation_is_of_the_features_of_a_user() -> None:
    vectors = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    features = tuple(feature.name for feature in Settings().judging)

    found = refitted(vectors, uncounted(2), None, ("a", "b"), seed=0, now_ms=0, margin=0.0, features=features)

    assert found is not None
    assert found.features == NAMES == ("total_clicks", "total_searches", "mean_click_ms", "mean_view_ms")


def test_a_generation_says_since_when_users_are_judged_by_its_features() -> None:
    """Whether it came by the first fit, a step or a refit; of a model of 0.1.0, which did not say so, it is 0."""
    users = blobs([100, 3000, 9000])
    first = refit(users, None)
    assert first is not None
    drifted = blobs([9500, 300, 3600])
    second = refit(drifted, first)
    third = successor(tally(drifted, judge(drifted, first)), first, THREE, 0.0, 0)
    old = refit(drifted, msgspec.structs.replace(first, number=7, features_since=0))
    assert second is not None and third is not None and old is not None
    assert [(model.number, model.space) for model in (first, second, third, old)] == [
        (1, Space(AB, 1)), (2, Space(AB, 1)), (2, Space(AB, 1)), (8, Space(AB, 0)),
    ]  # fmt: skip
    assert Generation.decode(second.encode()).space == second.space


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


def test_where_all_users_are_at_their_centres_no_refit_is_taken() -> None:
    """There is nothing to save."""
    users = np.repeat([[100, 100], [3000, 3000], [9000, 9000]], 60, axis=0)
    first = refit(users, None)
    assert first is not None and first.centres == ((100.0, 100.0), (3000.0, 3000.0), (9000.0, 9000.0))
    for margin in (0.0, 0.5, 1.0):
        assert refit(users, first, margin=margin) is None


def test_another_number_of_names_is_followed() -> None:
    users = blobs([100, 3000, 6000, 9000])
    three = refit(users, None)
    assert three is not None

    four = refit(users, three, (*THREE, "fans"))
    assert four is not None
    assert [segment.slug for segment in four.segments] == [*THREE, "fans"]
    assert four.changes == (Lineage("birth", 3),)

    assert successor(tally(users, judge(users, four)), four, THREE[:2], margin=0.0, now_ms=0) is None
    two = refit(users, four, THREE[:2])
    assert two is not None
    assert two.slugs == THREE[:2]
    assert {change.kind for change in two.changes} <= {"merge", "retirement"}
    assert {segment.id for segment in (*two.segments, *two.retired)} == {0, 1, 2, 3}


def test_other_names_are_followed_by_a_refit_that_gains_nothing() -> None:
    users = blobs([100, 3000, 9000])
    first = refit(users, None)
    assert first is not None

    second = refit(users, first, ("visitor", "reader", "fan"), margin=1.0)

    assert second is not None
    assert [(s.id, s.slug, s.name) for s in second.segments] == [
        (0, "visitor", "Visitor"), (1, "reader", "Reader"), (2, "fan", "Fan")
    ]  # fmt: skip


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


def test_a_model_whose_segment_a_few_users_own_is_fitted_anew() -> None:
    """Whatever that gains: 500 users, of whom 4 are far away."""
    users = np.concatenate([blobs([100, 3000], 248), np.full((4, 2), 90_000)])
    owned = generation([(100.0, 100.0), (3000.0, 3000.0), (90_000.0, 90_000.0)])
    owned = msgspec.structs.replace(owned, fitted_population=500)
    assert unfit(tally(users, judge(users, owned)), owned, THREE)

    found = refit(users, owned, margin=1.0)

    assert found is not None
    assert not unfit(tally(users, judge(users, found)), found, THREE)
    assert min(part.users for part in tally(users, judge(users, found)).values()) >= 5
    assert refit(users, found, margin=1.0) is None


def test_a_model_whose_names_are_not_in_order_is_fitted_anew() -> None:
    """One that an earlier version has left, say."""
    users = blobs([100, 3000, 9000])
    good = refit(users, None)
    assert good is not None
    lying = msgspec.structs.replace(good, segments=good.segments[::-1])

    found = refit(users, lying, margin=1.0)

    assert found is not None
    assert [(segment.id, segment.slug) for segment in found.segments] == list(zip((2, 1, 0), THREE, strict=True))


def test_enough_users_end_a_provisional_model() -> None:
    """Though the fit finds the same centres as before."""
    few = refit(blobs([100, 3000, 9000], 99), None)
    assert few is not None and few.provisional
    assert refit(blobs([100, 3000, 9000], 99), few, margin=1.0) is None

    enough = refit(blobs([100, 3000, 9000], 100), few, margin=1.0)

    assert enough is not None and not enough.provisional


def test_a_step_is_taken_for_its_margin_only() -> None:
    users = blobs([100, 3000, 9000])
    model = generation([(0.0, 0.0), (3500.0, 2000.0), (7000.0, 9000.0)])
    census = tally(users, judge(users, model))
    taken = step(census, model)
    assert taken.gain > 0

    assert successor(census, model, THREE, math.nextafter(taken.gain, 1.0), now_ms=77) is None
    found = successor(census, model, THREE, taken.gain, now_ms=77)

    assert found is not None
    assert (found.number, found.cause, found.created_ms, found.gain) == (2, "step", 77, taken.gain)
    assert (found.centres, found.scale, found.fill) == (taken.centres, taken.scale, taken.fill)
    assert (found.segments, found.population, found.fitted_population) == (model.segments, 180, 1)


FEW_FEATURES, LOW_AND_HIGH = ("total_clicks", "mean_click_ms", "mean_view_ms"), ("low", "high")


def test_slugs_follow_the_rank_and_ids_the_users() -> None:
    """The users of one segment overtake those of the next in what they do, while they still differ in their times."""

    def users(patient_clicks: int, hasty_clicks: int) -> NDArray[np.int64]:
        random = np.random.default_rng(3)
        patient = random.normal((patient_clicks, 9_000, 60_000), (3, 90, 900), (300, 3))
        hasty = random.normal((hasty_clicks, 400, 900), (3, 40, 90), (300, 3))
        return fixed(np.concatenate([patient, hasty]))

    before, soon, later = users(20, 60), users(90, 60), users(200, 60)
    model = refitted(
        before, uncounted(len(before)), None, LOW_AND_HIGH, seed=1, now_ms=0, margin=0.0, features=FEW_FEATURES
    )
    assert model is not None
    assert [(segment.id, segment.slug) for segment in model.segments] == [(0, "low"), (1, "high")]
    assert judge(soon, model) == ["low"] * 300 + ["high"] * 300

    stepped = successor(tally(soon, judge(soon, model)), model, LOW_AND_HIGH, margin=0.001, now_ms=0)
    fitted = refitted(
        later, tally(later, judge(later, model)), model, LOW_AND_HIGH, 2, 0, margin=0.001, features=FEW_FEATURES
    )

    for found in (stepped, fitted):
        assert found is not None
        assert [(segment.id, segment.slug) for segment in found.segments] == [(1, "low"), (0, "high")]
        assert [segment.name for segment in found.segments] == ["Low", "High"]
        assert judge(soon, found) == ["high"] * 300 + ["low"] * 300


@pytest.mark.parametrize(
    ("low", "high", "swapped"), [(66.0, 60.0, False), (66.2, 60.0, True), (0.53, 0.4, False), (0.55, 0.4, True)]
)
def test_who_clearly_does_more_than_a_higher_segment_swaps_slugs_with_it(
    low: float, high: float, swapped: bool
) -> None:
    """Whatever that gains; not those who are nearly alike, whose slugs would change again and again."""

    def crowd(low: float) -> NDArray[np.int64]:
        return fixed(np.array([[low, 100.0, 100.0], [high, 9_000.0, 9_000.0]]).repeat(30, axis=0))

    before, users = crowd(high / 4), crowd(low)
    model = refitted(before, uncounted(60), None, LOW_AND_HIGH, seed=1, now_ms=0, margin=0.0, features=FEW_FEATURES)
    assert model is not None and judge(users, model) == ["low"] * 30 + ["high"] * 30
    found = successor(tally(users, judge(users, model)), model, LOW_AND_HIGH, margin=math.inf, now_ms=0)
    assert (found is not None) is swapped
    if found is not None:
        assert [(segment.id, segment.slug) for segment in found.segments] == [(1, "low"), (0, "high")]
        assert judge(users, found) == ["high"] * 30 + ["low"] * 30
        assert successor(tally(users, judge(users, found)), found, LOW_AND_HIGH, margin=math.inf, now_ms=0) is None


@pytest.mark.parametrize("crowd", ["negative", "between two centres"])
def test_who_stays_as_they_are_comes_to_rest(crowd: str) -> None:
    """Also where features are negative, and where some users are just as near to one centre as to another."""
    if crowd == "negative":
        users = fixed(np.random.default_rng(1).normal(np.repeat([[-50.0, -50.0], [-5.0, -5.0]], 100, axis=0), 0.5))
        features: tuple[str, ...] = ("one", "other")
    else:
        known = [[5.0, 0.0, np.nan, 1_000.0]] * 30 + [[5.0, 0.0, np.nan, 4_000.0]] * 30
        users, features = fixed(np.array([*known, *[[300.0, 0.0, np.nan, np.nan]] * 4])), NAMES
    model = refitted(users, uncounted(len(users)), None, THREE, seed=0, now_ms=0, margin=0.0, features=features)
    for _ in range(9):
        if model is None:
            break
        model = successor(tally(users, judge(users, model)), model, THREE, margin=0.001, now_ms=0)
    assert model is None


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_matching_is_the_cheapest_of_all(random: random.Random) -> None:
    """Brute force over all ways to pair three old centres with three new ones."""

    def somewhere() -> tuple[float, float]:
        return random.uniform(0, 9), random.uniform(0, 9)

    old = sorted([somewhere() for _ in range(3)], key=lambda centre: engagement(centre, AB, SCALE))
    new = [somewhere() for _ in range(3)]

    def cost(pairing: tuple[tuple[float, ...], ...]) -> float:
        return sum(
            (a - b) ** 2 for one, other in zip(old, pairing, strict=True) for a, b in zip(one, other, strict=True)
        )

    found = match(generation(old), new, SCALE)

    assert cost(found.centres) == pytest.approx(min(map(cost, permutations(new))))


def inertia_of(vectors: NDArray[np.int64], model: Generation, by: Generation) -> float:
    """About a model's centres, by the scale of another."""
    points = vectors[:, None, :] / np.array(by.scale)
    return float((((points - np.array(model.centres) / np.array(by.scale)) ** 2).sum(axis=2)).min(axis=1).sum())


def test_a_refit_depends_on_its_seed_alone() -> None:
    """Where there are many ways to divide the users: the same seed finds the same, whoever fits."""
    users = np.random.default_rng(1).integers(0, 10_000, (300, 2))
    names = tuple("abcdefghijkl")

    def once(seed: int) -> Generation | None:
        return refitted(users, uncounted(300), None, names, seed, now_ms=0, margin=0.0, features=AB)

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_the_gain_of_a_refit_is_what_it_saves_and_is_taken_for_its_margin_only() -> None:
    users = blobs([100, 3000, 9000], 120)
    poor = generation([(0.0, 0.0), (3500.0, 2000.0), (7000.0, 9000.0)])
    poor = msgspec.structs.replace(poor, fitted_population=1_000)
    found = refit(users, poor)
    assert found is not None
    before, after = inertia_of(users, poor, found), inertia_of(users, found, found)
    assert found.gain == pytest.approx((before - after) / before)
    assert found.scale == tuple(users.std(axis=0).tolist()) and (found.population, found.fitted_population) == (
        360,
        360,
    )
    assert refit(users, poor, margin=found.gain) == found
    assert refit(users, poor, margin=math.nextafter(found.gain, 1.0)) is None


@pytest.mark.parametrize(("few", "wanting"), [(4, True), (5, False)])
def test_a_model_is_unfit_if_a_segment_has_too_few_users(few: int, wanting: bool) -> None:
    """Five, or one in a hundred where that is more; a segment that has none does no harm."""
    users = np.concatenate([blobs([100, 3000], 200), np.full((few, 2), 9_000)])
    model = generation([(100.0, 100.0), (3000.0, 3000.0), (9000.0, 9000.0)])
    assert unfit(tally(users, judge(users, model)), model, THREE) is wanting
    assert not unfit(tally(users[:400], judge(users[:400], model)), model, THREE)
    many = np.concatenate([blobs([100, 3000], 350), np.full((few, 2), 9_000)])
    assert unfit(tally(many, judge(many, model)), model, THREE)


def test_a_model_with_more_segments_than_names_is_unfit_and_takes_no_step() -> None:
    users = blobs([100, 3000, 9000])
    model = generation([(0.0, 0.0), (3000.0, 3000.0), (9000.0, 9000.0)])
    census = tally(users, judge(users, model))
    assert [unfit(census, model, THREE[:count]) for count in (2, 3)] == [True, False]
    assert [successor(census, model, THREE[:count], 0.0, 0) is None for count in (2, 3)] == [True, False]


def test_a_step_that_moves_nothing_is_none() -> None:
    """Even one that need not gain anything."""
    users = blobs([100, 3000, 9000])
    model = generation([(0.0, 0.0), (3000.0, 3000.0), (9000.0, 9000.0)])
    first = successor(tally(users, judge(users, model)), model, THREE, 0.0, 0)
    assert first is not None
    assert successor(tally(users, judge(users, first)), first, THREE, 0.0, 0) is None


@pytest.mark.parametrize(("extremes", "pulled"), [(1, False), (200, True)])
def test_a_step_follows_a_crowd_and_no_few_extreme_users(extremes: int, pulled: bool) -> None:
    """The others have not moved, so there is nothing else to step to."""
    crowd = np.concatenate([np.repeat([[99, 101], [101, 99]], 200, axis=0), np.repeat([[2990, 3010]], 200, axis=0)])
    model = generation([(100.0, 100.0), (2990.0, 3010.0)])
    users = np.concatenate([crowd, np.full((extremes, 2), 9_000)])
    assert (successor(tally(users, judge(users, model)), model, THREE, 0.0, 0) is not None) is pulled
    assert step(tally(users, judge(users, model)), model).centres != model.centres


def test_a_step_tells_nothing_of_the_one_before() -> None:
    """The changes of a refit are told once; who has retired stays known."""
    users = blobs([100, 3000, 9000])
    retired = (Segment(7, "old", "Old"),)
    model = msgspec.structs.replace(
        generation([(0.0, 0.0), (3000.0, 3000.0), (9000.0, 9000.0)]), changes=(Lineage("birth", 2),), retired=retired
    )
    found = successor(tally(users, judge(users, model)), model, THREE, 0.0, 0)
    assert found is not None and (found.changes, found.retired) == ((), retired)
