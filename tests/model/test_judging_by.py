"""Users come to be judged by other features: the new segments are the old ones with which they share most users."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from segmenter.model.generation import Generation, Segment
from segmenter.model.segments import judging_by
from segmenter.model.vectors import fixed

USERS = 600
BEFORE = Generation(
    number=7,
    cause="refit",
    features=("total_a",),
    centres=((1.0,), (2.0,), (3.0,)),
    segments=tuple(Segment(10 + index, f"old_{index}", f"Name {index}") for index in range(3)),
    scale=(1.0,),
    fill=(0.0,),
    population=USERS,
    fitted_population=USERS,
    created_ms=1,
)


@pytest.mark.parametrize("asked", [2, 3, 4])
def test_segments_go_with_their_users(asked: int) -> None:
    """By a slow look at all pairs; what is left over is born, or retires. The names are ranks, as always."""
    random = np.random.default_rng(3)
    old = random.choice(3, USERS, p=[0.5, 0.3, 0.2])
    group = np.array([[2, 0, 1], [1, 0, 1], [2, 0, 1]])[asked % 3, old]
    group[(old == 0) & (random.random(USERS) < 0.4)] = asked - 1
    counts = 10.0 ** (1 + group) * random.uniform(0.8, 1.25, USERS)
    sample = fixed(counts[:, None])
    names = ("low", "middle", "high", "highest")[:asked]

    slugs = [BEFORE.slugs[index] for index in old]
    after = judging_by(("total_b",), sample, slugs, BEFORE, names, 7, 9, 5_000)

    new = [int(np.argmin([abs(centre[0] - each) for centre in after.centres])) for each in sample[:, 0]]
    shared = np.zeros((3, asked))
    for was, now in zip(old, new, strict=True):
        shared[was, now] += 1
    kept = dict(zip(*map(list, linear_sum_assignment(-shared)), strict=True))
    ids = [segment.id for segment in after.segments]
    assert [ids[kept[was]] for was in sorted(kept)] == [10 + was for was in sorted(kept)]
    assert sorted(ids) == sorted([10 + was for was in kept] + list(range(13, 13 + asked - len(kept))))
    assert [segment.id for segment in after.retired] == [10 + was for was in range(3) if was not in kept]
    assert {change.kind for change in after.changes} == {2: {"merge"}, 3: set(), 4: {"birth"}}[asked]
    assert {segment.name for segment in after.segments} >= {f"Name {was}" for was in kept}
    assert [slug for _, slug in sorted(zip(after.centres, after.slugs, strict=True))] == list(names)
    assert (after.cause, after.features_since, after.number, after.created_ms) == ("features", 8, 8, 9)
    assert (after.features, after.fitted_population, after.population) == (("total_b",), 5_000, 5_000)
