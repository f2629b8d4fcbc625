"""The parts in which much is computed change nothing, and the bounds on neighbours are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segmenter.analysis.recommendations import interactions, neighbours, ranking
from segmenter.analysis.recommendations.interactions import collect
from segmenter.analysis.recommendations.taste import taste

USERS, ITEMS = 300, 150
Dense = np.ndarray[Any, np.dtype[np.float64]]


def drawn(seed: int = 1) -> Dense:
    """Who had what; the first items are far more popular than the last."""
    random = np.random.default_rng(seed)
    chances = np.linspace(0.4, 0.02, ITEMS)
    return (random.random((USERS, ITEMS)) < chances).astype(float)


def pairs(had: Dense) -> list[tuple[bytes, bytes]]:
    return [(b"u%03d" % user, b"i%03d" % item) for user, item in np.argwhere(had)]


def nearness(had: Dense, most: float = np.inf) -> Dense:
    """Of each item to each other one, by the formula over dense columns."""
    of_user, of_item = had.sum(axis=1), had.sum(axis=0)
    weight = np.where(of_user <= most, 1 / np.sqrt(np.maximum(of_user, 1)), 0)
    found: Dense = (had.T * weight) @ had / np.sqrt(np.outer(of_item, of_item))
    np.fill_diagonal(found, 0)
    return found


def near(had: Dense, wanted: Any = True) -> Dense:
    matrix = collect([pairs(had)]).had
    found: Dense = neighbours.neighbours(matrix, np.full(ITEMS, True) & wanted, np.arange(ITEMS)).toarray()
    return found


def test_the_nearest_are_kept_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    had = drawn()
    exact = nearness(had)
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 7)
    found = near(had)
    least = np.sort(exact, axis=1)[:, -7:-6]
    assert ((found > 0).sum(axis=1) == 7).all()
    assert (found > 0)[exact > least * (1 + 1e-12)].all()
    np.testing.assert_allclose(found[found > 0], exact[found > 0], rtol=1e-12)


def test_of_equally_near_ones_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 7)
    found = near(np.ones((3, ITEMS)))
    assert [np.flatnonzero(row).tolist() for row in found[[0, 3, 100]]] == [
        [1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5, 6],
    ]


def test_who_had_too_much_makes_no_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    had = drawn()
    had[0] = 1
    monkeypatch.setattr(neighbours, "MOST_ITEMS", 100)
    monkeypatch.setattr(neighbours, "NEIGHBOURS", ITEMS)
    np.testing.assert_allclose(near(had), nearness(had, most=100), rtol=1e-12)


def test_only_wanted_items_are_neighbours_and_only_of_those_asked_for() -> None:
    had = drawn()
    wanted = np.arange(ITEMS) % 3 == 0
    matrix = collect([pairs(had)]).had
    some = neighbours.neighbours(matrix, wanted, np.array([4, 90])).toarray()
    expected = np.zeros((ITEMS, ITEMS))
    expected[[4, 90]] = (nearness(had) * wanted)[[4, 90]]
    np.testing.assert_allclose(some, expected, rtol=1e-12)


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of interactions, products of items and parts of users."""
    had = drawn()
    slugs = [("a", "b", None)[user % 3] for user in range(USERS)]

    def everything(page: int) -> Any:
        events = pairs(had)
        found = collect([events[start : start + page] for start in range(0, len(events), page)])
        liked = taste(found.had, slugs)
        close = neighbours.neighbours(found.had, ranking.recommendable(liked), np.arange(ITEMS))
        parts = list(ranking.rank(found.had, slugs, liked, close, np.arange(USERS), 5))
        return found.users, found.items, close.toarray().tolist(), [each for part in parts for each in part], len(parts)

    *whole, one = everything(10**6)
    monkeypatch.setattr(interactions, "PAIRS_AT_A_TIME", 10)
    monkeypatch.setattr(neighbours, "PRODUCTS_AT_A_TIME", 400)
    monkeypatch.setattr(ranking, "USERS_AT_A_TIME", 13)
    *divided, many = everything(11)
    assert divided == whole
    assert (one, many) == (1, 24)


def test_no_item_is_better_than_those_that_are_recommended() -> None:
    """Each user's list against the scores of every item, of which only some were looked at."""
    had = drawn(2)
    slugs = [("a", "b")[user % 2] for user in range(USERS)]
    matrix = collect([pairs(had)]).had
    liked = taste(matrix, slugs)
    close = neighbours.neighbours(matrix, ranking.recommendable(liked), np.arange(ITEMS))
    kept = close.toarray()
    for part in ranking.rank(matrix, slugs, liked, close, np.arange(USERS), 8):
        for ranked in part:
            row = liked.segments.index(str(slugs[ranked.user]))
            own = had[ranked.user]
            scores = (own @ kept / own.sum() + 0.05 * liked.share[row]) * np.sqrt(liked.lift[row])
            order = np.argsort(-np.where(own > 0, -1, scores), kind="stable")[:8]
            assert [each.item for each in ranked.items] == order.tolist()
            assert [each.score for each in ranked.items] == pytest.approx(scores[order], rel=1e-9)
            assert [each.near for each in ranked.items] == [int((kept[own > 0, item] > 0).sum()) for item in order]
