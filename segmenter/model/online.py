"""The online K-Means as a clusterer of river, in memory, as notebooks use it. No process of ours imports it."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from river import base

from segmenter.model.census import UNIT, Census, moved, tally
from segmenter.model.generation import Generation
from segmenter.model.kmeans import assign, judge
from segmenter.model.segments import refitted, successor
from segmenter.model.vectors import MISSING, fixed

if TYPE_CHECKING:
    import pandas as pd

Matrix = NDArray[np.int64]
T = TypeVar("T")


class OnlineKMeans(base.Clusterer):
    """K-Means that judges by frozen centres and moves them by exact Lloyd steps.

    Features are counts and amounts: each value is squeezed by log1p (its sign kept) and scaled by the spread of the
    points learnt; None, NaN or an absent feature counts as the mean. Every batch split gives the same model. A point
    that changes is forgotten as it was and learnt as it is. The ids of clusters follow their points; the slugs, which
    name the parts of the census, rank the clusters by `engagement`. A few extreme points are no cluster.

    Parameters
    ----------
    n_clusters
        How many clusters to find; fewer are found while fewer points differ.
    margin
        What share of the inertia a step or a refit must save to be taken. A step that puts clusters in order, the least
        engaged first, need not save any.
    grace_period
        A step is considered each time this many points have been learnt. A refit (k-means++) is considered when there
        are `n_clusters` points, and each time there are twice as many.
    window
        How many of the newest points make up the model. Older ones are forgotten.
    seed
        Seed of the refits.

    Attributes
    ----------
    features : tuple
        The names of all features seen.
    generation : Generation or None
        The model that judges now.
    census : dict
        What the points in the window add up to, by the slug of their cluster.

    Examples
    --------
    >>> model = OnlineKMeans(n_clusters=2)
    >>> for clicks in (0, 1, 90, 2, 80, 100):
    ...     model.learn_one({"clicks": clicks, "mean_view_ms": 1000 * clicks or None})
    >>> model.predict_one({"clicks": 3}), model.predict_one({"clicks": 70, "mean_view_ms": 60_000})
    (0, 1)
    """

    def __init__(
        self,
        n_clusters: int = 3,
        margin: float = 0.01,
        grace_period: int = 100,
        window: int = 10_000,
        seed: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.margin = margin
        self.grace_period = grace_period
        self.window = window
        self.seed = seed
        self.features: tuple[Hashable, ...] = ()
        self.generation: Generation | None = None
        self.census: Census = {}
        self._points: deque[tuple[int, ...]] = deque()
        self._learnt = 0
        self._refit_at = n_clusters

    def learn_one(self, x: Mapping[Any, Any]) -> None:
        """Learn a point."""
        self._widen(x)
        self._learn(self._vector(x))

    def learn_many(self, X: pd.DataFrame) -> None:
        """Learn each row, as `learn_one` would."""
        self._widen(X.columns)
        self._learn(self._vectors(X))

    def forget_one(self, x: Mapping[Any, Any]) -> None:
        """Forget a point, given as it was learnt. One that the window has dropped is forgotten already."""
        if not set(x) <= set(self.features):
            return
        vector = self._vector(x)
        point = tuple(vector[0].tolist())
        if point in self._points:
            self._points.remove(point)
            self._move(vector, vector[:0])

    def predict_one(self, x: Mapping[Any, Any]) -> int:
        """The id of a point's cluster, 0 before there is a model. The model does not change."""
        return self._ids(self._vector(x))[0]

    def predict_many(self, X: pd.DataFrame) -> pd.Series[int]:
        """The id of each row's cluster, as `predict_one` returns it."""
        import pandas as pd

        return pd.Series(self._ids(self._vectors(X)), index=X.index, dtype="int64")

    def _learn(self, vectors: Matrix) -> None:
        while len(vectors):
            room = self._room()
            self._fold(vectors[:room])
            vectors = vectors[room:]

    def _room(self) -> int:
        """How many points can be learnt at once before a step or a refit is to be considered."""
        to_step = self.grace_period - self._learnt % self.grace_period
        to_refit = max(1, self._refit_at - len(self._points))
        return min(to_step, to_refit, self.window)

    def _fold(self, vectors: Matrix) -> None:
        surplus = max(0, len(self._points) + len(vectors) - self.window)
        dropped = [self._points.popleft() for _ in range(surplus)]
        self._points.extend(map(tuple, vectors.tolist()))
        self._move(self._matrix(dropped), vectors)
        self._learnt += len(vectors)
        names = [f"cluster_{index}" for index in range(self.n_clusters)]
        if len(self._points) >= self._refit_at:
            self._refit_at = 2 * len(self._points)
            features = tuple(map(str, self.features))
            points = self._matrix(self._points)
            self._adopt(refitted(points, self.census, self.generation, names, self.seed, 0, self.margin, features))
        elif self.generation and self._learnt % self.grace_period == 0:
            self._adopt(successor(self.census, self.generation, names, self.margin, 0))

    def _move(self, before: Matrix, after: Matrix) -> None:
        slugs = judge(before, self.generation), judge(after, self.generation)
        self.census = moved(self.census, before, slugs[0], after, slugs[1])

    def _adopt(self, generation: Generation | None) -> None:
        if generation:
            self.generation = generation
            self._recount()

    def _recount(self) -> None:
        points = self._matrix(self._points)
        self.census = tally(points, judge(points, self.generation))

    def _widen(self, names: Iterable[Hashable]) -> None:
        """Make room for features never seen before: missing in every point, and the same in every centre."""
        old = self.features
        if set(names) <= set(old):
            return
        self.features = tuple(sorted({*old, *names}, key=repr))
        self._points = deque([_placed(point, old, self.features, MISSING) for point in self._points])
        if self.generation:
            self.generation = _widened(self.generation, old, self.features)
        self._recount()

    def _vector(self, x: Mapping[Any, Any]) -> Matrix:
        values = [x.get(name) for name in self.features]
        return _fixed(np.array([[np.nan if value is None else float(value) for value in values]]))

    def _vectors(self, X: pd.DataFrame) -> Matrix:
        return _fixed(X.reindex(columns=list(self.features)).to_numpy(dtype=np.float64, na_value=np.nan))

    def _matrix(self, points: Sequence[tuple[int, ...]] | deque[tuple[int, ...]]) -> Matrix:
        return np.array(points, dtype=np.int64).reshape(len(points), len(self.features))

    def _ids(self, vectors: Matrix) -> list[int]:
        if self.generation is None:
            return [0] * len(vectors)
        segments = self.generation.segments
        return [segments[index].id for index in assign(vectors, self.generation).tolist()]


def _fixed(values: NDArray[np.float64]) -> Matrix:
    if np.isinf(values).any():
        raise ValueError("a feature is infinite; it must be a finite number, or None or NaN where it is missing")
    return fixed(values)


def _placed(values: Iterable[T], old: Sequence[Hashable], new: Sequence[Hashable], default: T) -> tuple[T, ...]:
    """The values of the features ``old`` in the order of ``new``, and the default for those that are not in ``old``."""
    known = dict(zip(old, values, strict=True))
    return tuple([known.get(name, default) for name in new])


def _widened(generation: Generation, old: Sequence[Hashable], new: Sequence[Hashable]) -> Generation:
    return msgspec.structs.replace(
        generation,
        features=tuple(map(str, new)),
        centres=tuple([_placed(centre, old, new, 0.0) for centre in generation.centres]),
        scale=_placed(generation.scale, old, new, UNIT),
        fill=_placed(generation.fill, old, new, 0.0),
    )
