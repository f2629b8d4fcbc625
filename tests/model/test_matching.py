"""Which of the new centres are the old segments: against a search of all ways to pair them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations

from hypothesis import assume, given
from hypothesis import strategies as st

from segmenter.model.generation import Generation, Lineage, Point, Segment
from segmenter.model.kmeans import squared_distance
from segmenter.model.matching import Match, initial, match

SCALE = (2.0, 0.5)
points = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=4, unique=True).map(
    lambda drawn: [(float(x), float(y)) for x, y in drawn]
)
ids = st.lists(st.integers(0, 20), min_size=6, max_size=6, unique=True)


def generation(centres: Sequence[Point], ids: Sequence[int]) -> Generation:
    """Segments with these ids; what is left of the ids is retired."""
    segments = [Segment(id, f"slug_{id}", f"Name {id}") for id in ids]
    return Generation(
        number=1,
        cause="refit",
        features=("a", "b"),
        centres=tuple(centres),
        segments=tuple(segments[: len(centres)]),
        scale=(1.0, 1.0),
        fill=(0.0, 0.0),
        population=1,
        fitted_population=1,
        created_ms=0,
        retired=tuple(segments[len(centres) :]),
    )


def distance(one: Point, other: Point) -> float:
    return sum(((a - b) / scale) ** 2 for a, b, scale in zip(one, other, SCALE, strict=True))


def pairings(old: int, new: int) -> list[tuple[tuple[int, int], ...]]:
    """Every way to give as many old segments as can be a new centre of their own: pairs of (old, new)."""
    if old <= new:
        return [tuple(enumerate(chosen)) for chosen in permutations(range(new), old)]
    return [tuple((each, index) for index, each in enumerate(chosen)) for chosen in permutations(range(old), new)]


def cheapest(old: Sequence[Point], new: Sequence[Point]) -> dict[int, int]:
    """The one pairing that moves the segments least in total; there must be no other."""
    costs = sorted((sum(distance(old[a], new[b]) for a, b in pairs), pairs) for pairs in pairings(len(old), len(new)))
    assume(len(costs) == 1 or costs[1][0] > costs[0][0] * (1 + 1e-9) + 1e-9)
    return dict(costs[0][1])


def placed(found: Match, ids: Sequence[int]) -> dict[int, Point]:
    """The centres of the old segments that are still there."""
    both = zip(found.segments, found.centres, strict=True)
    return {segment.id: centre for segment, centre in both if segment.id in ids}


@given(points, points, ids)
def test_segments_move_least_in_total(old: list[Point], new: list[Point], ids: list[int]) -> None:
    """Each keeps its id, its name and its order; what is left over is born with new ids, or retires."""
    before = generation(old, ids)
    pairs = cheapest(old, new)

    found = match(before, new, SCALE)

    kept = [before.segments[each] for each in sorted(pairs)]
    born = [index for index in range(len(new)) if index not in pairs.values()]
    first = max(ids) + 1
    assert list(found.segments[: len(kept)]) == kept
    assert list(found.centres) == [new[pairs[each]] for each in sorted(pairs)] + [new[index] for index in born]
    assert [segment.id for segment in found.segments[len(kept) :]] == list(range(first, first + len(born)))
    gone = [each for each in range(len(old)) if each not in pairs]
    assert found.retired == (*before.retired, *[before.segments[each] for each in gone])
    assert found.changes[: len(born)] == tuple(Lineage("birth", first + number) for number in range(len(born)))
    assert [change.segment for change in found.changes[len(born) :]] == [before.segments[each].id for each in gone]


@given(points, points, ids, st.permutations(range(4)), st.permutations(range(4)))
def test_the_order_of_the_centres_decides_nothing(
    old: list[Point], new: list[Point], ids: list[int], order: list[int], new_order: list[int]
) -> None:
    """Neither that of the new ones nor that of the old ones: an id has the same centre."""
    cheapest(old, new)
    order = [each for each in order if each < len(old)]
    turned = generation([old[each] for each in order], [*[ids[each] for each in order], *ids[len(old) :]])

    found = match(generation(old, ids), new, SCALE)
    again = match(turned, [new[each] for each in new_order if each < len(new)], SCALE)

    assert placed(again, ids) == placed(found, ids)
    assert set(again.centres) == set(new)


@given(points, points, ids)
def test_the_users_of_a_retired_segment_go_to_the_nearest(old: list[Point], new: list[Point], ids: list[int]) -> None:
    """It has merged with the segment there if that one's users were nearest to that centre, too."""
    before = generation(old, ids)
    pairs = cheapest(old, new)
    for centre in old:
        near = sorted(distance(centre, each) for each in new)
        assume(len(near) == 1 or near[0] < near[1])

    found = match(before, new, SCALE)

    for change in found.changes:
        if change.kind != "birth":
            gone = [segment.id for segment in before.segments].index(change.segment)
            nearest = min(range(len(new)), key=lambda index: distance(old[gone], new[index]))
            (heir,) = [each for each, index in pairs.items() if index == nearest]
            assert change.into == before.segments[heir].id
            stayed = min(new, key=lambda centre: distance(old[heir], centre)) == new[nearest]
            assert change.kind == ("merge" if stayed else "retirement")


@given(points, st.permutations(range(4)))
def test_nothing_has_changed_where_the_centres_are_the_same(old: list[Point], order: list[int]) -> None:
    before = generation(old, range(6))
    found = match(before, [old[each] for each in order if each < len(old)], SCALE)
    assert found == Match(before.centres, before.segments, before.retired, ())


@given(points, points)
def test_a_distance_is_measured_by_the_scale(one: list[Point], other: list[Point]) -> None:
    assert squared_distance(one[0], other[0], SCALE) == distance(one[0], other[0])
    assert squared_distance(one[0], one[0], SCALE) == 0.0


@given(points)
def test_the_first_segments_are_numbered_by_how_engaged_they_are(centres: list[Point]) -> None:
    """By the sum of the typical counts; the names and slugs are those of before a rank is known."""
    unit = 2.0**20
    scaled = [(x * unit / 50, y * unit / 50) for x, y in centres]
    found = initial(scaled, ("a", "b"), (1.0, 1.0))
    assert sorted(found.centres) == sorted(scaled)
    typical = [2.718281828459045 ** (x / unit) + 2.718281828459045 ** (y / unit) for x, y in found.centres]
    assert all(one <= other * (1 + 1e-9) for one, other in pairwise(typical))
    assert list(found.segments) == [Segment(n, f"segment_{n}", f"Segment {n}") for n in range(len(centres))]
    assert (found.retired, found.changes) == ((), ())
