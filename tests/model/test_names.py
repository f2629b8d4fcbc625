"""Names are true: the segments are always in the order of their slugs, and no user is alone in one.

The generations are those that a worker publishes while users arrive: fits when they are due, then steps until none is
worth it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.trainer.refit import PROVISIONAL_MARGIN, REFIT_MARGIN, STEP_MARGIN, refit_is_due
from segmenter.kinds import DEFAULT
from segmenter.model.census import Census, Tally, tally
from segmenter.model.folding import columns
from segmenter.model.generation import UNASSIGNED, Generation, space_of
from segmenter.model.kmeans import assign, judge
from segmenter.model.segments import refitted, successor
from segmenter.model.vectors import fixed, vectors
from segmenter.settings import Settings
from segmenter.shards.commits import sweep_commit
from segmenter.shards.row import Row
from segmenter.shards.state import Counts, ShardState
from tests.defaults import FEATURES, FIELDS, NAMES

Values = NDArray[np.float64]

SETTINGS = Settings(partitions=1)
ORDER = list(SETTINGS.segments)


class Moment(NamedTuple):
    """A generation just published, or None before the first, and the features of the users at that moment."""

    users: Values
    generation: Generation | None


def state(census: Census, generation: Generation | None) -> ShardState:
    number = generation.number if generation else 0
    return ShardState("", 0, 0, None, {}, census, Counts(), number, 0, 0, 0, space=space_of(generation))


def counted(points: NDArray[np.int64], generation: Generation | None) -> Census:
    """The census of users when all of them have been judged by a generation; before the first, only their number."""
    if generation is None:
        return {UNASSIGNED: Tally(len(points), (), (), ())}
    return tally(points, judge(points, generation))


def followed(looks: Iterable[Values], once: bool = False) -> Iterator[Moment]:
    """What a worker publishes that looks at the users at these moments, and the state at the end of each look.

    With ``once`` it is a worker that is run again and again, and fits each time.
    """
    generation, tried = None, 0
    for users in looks:
        points = fixed(users)
        census = counted(points, generation)
        if once or refit_is_due(SETTINGS, {0: state(census, generation)}, generation, tried):
            tried = len(points)
            margin = PROVISIONAL_MARGIN if generation and generation.provisional else REFIT_MARGIN
            number = generation.number if generation else 0
            found = refitted(points, census, generation, ORDER, number, 0, margin, NAMES)
            if found:
                generation = found
                yield Moment(users, generation)
        while generation:
            margin = math.inf if generation.provisional else STEP_MARGIN
            following = successor(counted(points, generation), generation, ORDER, margin, 0)
            if following is None:
                break
            generation = following
            yield Moment(users, generation)
        yield Moment(users, generation)


def table(users: Values, generation: Generation) -> list[tuple[str, int, float, float]]:
    """Slug, size, and the mean and typical number of events of each segment that has users, as people see them."""
    indices, events = assign(fixed(users), generation), users[:, :2]
    rows = []
    for index, slug in enumerate(generation.slugs):
        mine = events[indices == index]
        if len(mine):
            typical = float(np.expm1(np.log1p(mine).mean(axis=0)).sum())
            rows.append((slug, len(mine), float(mine.sum(axis=1).mean()), typical))
    return rows


def growing(most: int, by: float = 1.1) -> list[int]:
    """Numbers from 1 on, each doubling among them."""
    steps = {int(by**power) for power in range(200)} | {2**power for power in range(20)}
    return sorted([number for number in steps if number < most] + [most])


def only_clicks(clicks: NDArray[np.integer] | list[int]) -> Values:
    users = np.full((len(clicks), 4), np.nan)
    users[:, 0], users[:, 1] = clicks, 0
    return users


def arriving(users: Values) -> Iterator[Values]:
    return (users[:number] for number in growing(len(users)))


def one_busy_user_before_all_others() -> Iterator[Values]:
    """One user with 200 clicks, then 5,000 with 1 to 100."""
    return arriving(only_clicks([200, *np.random.default_rng(0).integers(1, 101, 5_000)]))


def most_clicks_by_one() -> Iterator[Values]:
    """70 % of 200,000 clicks are by one user, `anonymous`; the others have made 1 to 40."""
    random = np.random.default_rng(1)
    others = random.permutation(np.repeat(np.arange(1, 3_001), random.integers(1, 40, 3_000)))[:60_000]
    clicks = random.permutation(np.concatenate([np.zeros(140_000, dtype=np.int64), others]))
    for number in growing(len(clicks), by=1.2):
        counts = np.bincount(clicks[:number])
        yield only_clicks(counts[counts > 0])


def a_uniform_crowd() -> Iterator[Values]:
    return arriving(only_clicks(np.random.default_rng(2).integers(1, 101, 3_000)))


def two_crowds_and_a_whale() -> Iterator[Values]:
    random = np.random.default_rng(3)
    clicks = np.where(random.random(3_000) < 0.8, random.integers(1, 4, 3_000), random.integers(40, 60, 3_000))
    clicks[7] = 1_000_000
    return arriving(only_clicks(clicks))


def three_whales() -> Iterator[Values]:
    """Of them the first comes at once, the second when few, the third when many are there."""
    clicks = np.random.default_rng(4).integers(1, 101, 3_000)
    clicks[[0, 40, 2_000]] = 3_000, 1_000_000, 50_000
    return arriving(only_clicks(clicks))


def growth_to_ten_thousand() -> Iterator[Values]:
    """Users of all sorts, a few of them extreme, with all features; some of these are missing."""
    random = np.random.default_rng(5)
    users = np.exp(random.normal((1.5, 0.5, 7, 9), (1.2, 0.8, 1, 1), (10_000, 4)))
    users[:, :2] = np.floor(users[:, :2])
    users[:, 2:][random.random((10_000, 2)) < 0.4] = np.nan
    users[random.integers(0, 10_000, 12), 0] = np.exp(random.uniform(9, 14, 12))
    return arriving(users)


Crowd = Callable[[], Iterator[Values]]
CROWDS: tuple[Crowd, ...] = (
    one_busy_user_before_all_others,
    most_clicks_by_one,
    a_uniform_crowd,
    two_crowds_and_a_whale,
    three_whales,
    growth_to_ten_thousand,
)


def each_of(crowds: tuple[Crowd, ...]) -> pytest.MarkDecorator:
    """The tests of a crowd run in one process, which remembers its history."""
    found = [pytest.param(crowd, marks=pytest.mark.xdist_group(crowd.__name__), id=crowd.__name__) for crowd in crowds]
    return pytest.mark.parametrize("crowd", found)


def doublings(looks: Iterable[Values]) -> Iterator[Values]:
    """The first of these looks, and each at twice as many users as the one before."""
    before = 0
    for users in looks:
        if len(users) >= 2 * before:
            before = len(users)
            yield users


@cache
def history(crowd: Crowd, once: bool) -> list[Moment]:
    """All that a worker publishes while a crowd arrives, or one that is run at each doubling."""
    return list(followed(doublings(crowd()) if once else crowd(), once))


@pytest.mark.parametrize("once", [False, True], ids=["one run", "a run at each doubling"])
@each_of(CROWDS)
def test_the_names_are_true_of_every_generation(crowd: Crowd, once: bool) -> None:
    """Mean and typical events rise with the rank; a segment holds 1 % of the users, and 5 once there are enough."""
    published: dict[int, Generation] = {}
    for users, generation in history(crowd, once):
        if generation is None or generation.number in published:
            continue
        published[generation.number] = generation
        rows = table(users, generation)
        slugs, sizes, means, typical = (list(column) for column in zip(*rows, strict=True))
        assert slugs == list(generation.slugs) == sorted(slugs, key=ORDER.index), rows
        assert typical == sorted(typical), rows
        assert means == sorted(means) or crowd is growth_to_ten_thousand, rows
        assert min(sizes) >= max(min(5, len(users) // 6), len(users) / 100), rows
    assert len(published) > 5
    assert list(published[max(published)].slugs) == ORDER


@each_of(CROWDS[:-1])
def test_who_looks_at_any_time_finds_them_in_order(crowd: Crowd) -> None:
    """Also between two generations, when users who had few clicks have made more, and at every doubling."""
    for users, generation in history(crowd, False):
        if generation is not None:
            rows = table(users, generation)
            assert [row[2:] for row in rows] == sorted(row[2:] for row in rows), rows


@each_of(CROWDS)
def test_the_busiest_of_all_is_highly_engaged(crowd: Crowd) -> None:
    users, generation = history(crowd, False)[-1]
    busiest = fixed(users[[int(users[:, 0].argmax())]])
    assert judge(busiest, generation) == ["highly_engaged"]


@pytest.mark.xdist_group(growth_to_ten_thousand.__name__)
def test_a_site_has_segments_early_and_pins_nothing() -> None:
    """From a dozen users on; the model is provisional, and refitted at every half more, until there are 300."""
    fits = []
    for users, generation in history(growth_to_ten_thousand, False):
        if len(users) < 12:
            assert generation is None
        else:
            assert generation is not None
            assert generation.provisional == (len(users) < 300)
            fits.append(generation.fitted_population)
    assert 12 <= fits[0] < 14
    few = sorted({number for number in fits if number < 300})
    assert all(later < 1.7 * earlier for earlier, later in pairwise(few))
    assert len(few) > 5
    assert len(set(fits) - set(few)) <= 6


def test_a_worker_that_finds_names_out_of_order_fits_anew() -> None:
    """As an earlier version may have left them; tried once, not again before there are half as many users more."""
    points = fixed(only_clicks(np.random.default_rng(7).integers(1, 101, 1_000)))
    good = refitted(points, counted(points, None), None, ORDER, 0, 0, REFIT_MARGIN, NAMES)
    assert good is not None
    lying = msgspec.structs.replace(good, segments=good.segments[::-1])

    def due(model: Generation, tried: int) -> bool:
        return refit_is_due(SETTINGS, {0: state(counted(points, model), model)}, model, tried)

    assert not due(good, tried=0)
    assert due(lying, tried=0)
    assert not due(lying, tried=700)
    older = {0: state(counted(points, lying), good)}
    assert not refit_is_due(SETTINGS, older, msgspec.structs.replace(lying, number=2), 0), "some may be judged by it"
    found = refitted(points, counted(points, lying), lying, ORDER, 0, 0, REFIT_MARGIN, NAMES)
    assert found is not None
    assert not due(found, tried=0)


def test_where_all_are_alike_they_are_one_segment() -> None:
    *_, (users, generation) = followed(arriving(only_clicks([3] * 1_000)))
    assert generation is not None
    assert [row[:2] for row in table(users, generation)] == [("low_engagement", 1_000)]


def profiles_of(patient_clicks: int) -> NDArray[np.int64]:
    """200 users who take their time with so many clicks, and 200 hasty ones with 60."""
    noise = np.random.default_rng(6).integers(0, 3, 400)
    one = np.ones(400, dtype=np.int64)
    clicks = np.repeat([patient_clicks, 60], 200) + noise
    click_ms, view_ms = np.repeat([9_000, 400], 200) + noise, np.repeat([90_000, 900], 200) + noise
    named = dict.fromkeys(FIELDS, one) | {"clicks": clicks, "click_ms": click_ms, "view_ms": view_ms}
    return np.stack(list(named.values()), axis=1)


def points_of(profiles: NDArray[np.int64]) -> NDArray[np.int64]:
    return vectors(columns(profiles, FIELDS), FEATURES)


def rows_of(profiles: NDArray[np.int64], generation: Generation) -> list[Row]:
    points = points_of(profiles)
    each = zip(judge(points, generation), profiles.tolist(), points.tolist(), strict=True)
    return [
        Row(b"%d" % user, slug, generation.number, tuple(profile), {}, tuple(point))
        for user, (slug, profile, point) in enumerate(each)
    ]


def census_of(rows: list[Row]) -> Census:
    return tally(np.array([row.vector for row in rows]), [row.segment for row in rows])


def test_a_swap_of_names_is_told_as_the_models_doing() -> None:
    """The slugs pass to other segments while nobody does anything: each move has the cause ``model``."""
    low, high = ORDER[0], ORDER[-1]
    points = points_of(profiles_of(20))
    model = refitted(points, counted(points, None), None, [low, high], seed=0, now_ms=0, margin=0.0, features=NAMES)
    assert model is not None
    rows = rows_of(profiles_of(80), model)
    assert [row.segment for row in rows] == [low] * 200 + [high] * 200

    following = successor(census_of(rows), model, [low, high], STEP_MARGIN, now_ms=0)
    assert following is not None
    batch = sweep_commit(rows, state(census_of(rows), model), DEFAULT, following)

    assert [row.segment for row in batch.rows] == [high] * 200 + [low] * 200
    assert {change.cause for change in batch.changes} == {"model"}
    assert len(batch.changes) == 400
    assert batch.after.census == census_of(list(batch.rows))
