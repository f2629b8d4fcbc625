"""The algorithms by name, each a function from points to labels. All are deterministic.

References: Lloyd, Least Squares Quantization in PCM, 1982. Sculley, Web-Scale K-Means Clustering, 2010 (minibatch).
Dempster, Laird and Rubin, Maximum Likelihood from Incomplete Data via the EM Algorithm, 1977 (gmm). Those of the others
are in their files.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from segmenter.analysis.density import dbscan, hdbscan
from segmenter.analysis.hierarchy import hierarchical
from segmenter.analysis.points import SEED, Labels, Points, distinct
from segmenter.errors import UsageError

Algorithm = Literal["kmeans", "minibatch", "hierarchical", "dbscan", "hdbscan", "gmm"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
WITH_K: tuple[Algorithm, ...] = ("kmeans", "minibatch", "hierarchical", "gmm")
"""Those that are told how many clusters to find; the others count them."""
WITH_MIN_SAMPLES: tuple[Algorithm, ...] = ("dbscan", "hdbscan")

_STARTS = 10
_STARTS_OF_GMM = 3
_ROUNDS_OF_GMM = 500
_BATCH = 4_096


class Options(NamedTuple):
    """What may be asked of the algorithms."""

    k: int
    eps: float | None = None
    """For DBSCAN, in standard deviations of the features; None: where the distances bend."""
    min_samples: int | None = None
    """For DBSCAN and HDBSCAN; None: twice the number of features."""


class Found(NamedTuple):
    """What an algorithm found: a label per point, and what it used or says of itself."""

    labels: Labels
    parameters: dict[str, float]


def find(algorithm: Algorithm, points: Points, options: Options) -> Found:
    """The clusters of points, of which as many must differ as `require_different` says.

    >>> find("hierarchical", np.array([[0.0], [5.0], [0.1]]), Options(k=2)).labels.tolist()
    [0, 1, 0]
    """
    if algorithm in WITH_K:
        labels, parameters = _BY_K[algorithm](points, options.k)
        return Found(labels, {"k": options.k, **parameters})
    if algorithm == "dbscan":
        return Found(*dbscan(points, options.eps, options.min_samples))
    return Found(*hdbscan(points, options.min_samples))


def require_different(points: Points, k: int) -> None:
    """Raise `UsageError` unless there are two users who differ, and ``k`` of them."""
    different = len(distinct(points)[0])
    if different < 2:
        raise UsageError(
            f"{len(points):,} user{'s have all the same features' if len(points) > 1 else ' is only one'}: there is "
            "nothing to cluster. Wait for more events, then run `segmenter snapshot`."
        )
    if different < k:
        raise UsageError(f"only {different:,} users differ, so there cannot be {k:,} clusters: set --k lower.")


def kmeans(points: Points, k: int, starts: int = _STARTS) -> tuple[Labels, dict[str, float]]:
    """K-Means by Lloyd's algorithm, the best of several k-means++ starts; its inertia is per user."""
    from sklearn.cluster import KMeans

    fit = KMeans(k, n_init=starts, random_state=SEED).fit(points)
    return fit.labels_.astype(np.intp), {"starts": starts, "inertia": float(fit.inertia_) / len(points)}


def minibatch(points: Points, k: int) -> tuple[Labels, dict[str, float]]:
    """K-Means from small random batches, one after the other."""
    from sklearn.cluster import MiniBatchKMeans

    fit = MiniBatchKMeans(k, batch_size=_BATCH, n_init=_STARTS, random_state=SEED).fit(points)
    return fit.labels_.astype(np.intp), {"starts": _STARTS}


def gmm(points: Points, k: int) -> tuple[Labels, dict[str, float]]:
    """A mixture of Gaussians with a full covariance each; a user belongs to the one that is most likely.

    ``converged`` is 0 if it was still moving when it was stopped. Of two fits to the same users, the one with the lower
    ``bic`` explains them better for its size (Schwarz, Estimating the Dimension of a Model, 1978).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    fit: Any = GaussianMixture(k, n_init=_STARTS_OF_GMM, max_iter=_ROUNDS_OF_GMM, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is said by `converged`
        labels = fit.fit_predict(points)
    said = {"starts": _STARTS_OF_GMM, "converged": int(fit.converged_), "bic": float(fit.bic(points))}
    return labels.astype(np.intp), said


_BY_K: dict[str, Callable[[Points, int], tuple[Labels, dict[str, float]]]] = {
    "kmeans": kmeans,
    "minibatch": minibatch,
    "hierarchical": hierarchical,
    "gmm": gmm,
}
