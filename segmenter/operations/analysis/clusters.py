"""The users of the latest snapshot by other clustering algorithms: stored, and compared with the live segments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from segmenter import warehouse
from segmenter.analysis.algorithms import WITH_K, Algorithm, Found, Options, find, require_different
from segmenter.analysis.choosing import Choice, candidates, choose
from segmenter.analysis.clusters import Cluster, Described, describe
from segmenter.analysis.points import NOISE, Labels, Prepared, prepare
from segmenter.analysis.scikit_learn import scikit_learn
from segmenter.analysis.scores import MOST_USERS, Compared, compare
from segmenter.errors import UsageError
from segmenter.model.features import named
from segmenter.model.generation import UNASSIGNED
from segmenter.operations.progress import Progress, silent
from segmenter.settings import Settings
from segmenter.warehouse import ClusterRun, Snapshot, Warehouse
from segmenter.warehouse.snapshot_contents import read_summary_users, read_users

if TYPE_CHECKING:
    import pandas as pd

Source = Literal["snapshot", "summary"]
LIVE = "live"


class Run(NamedTuple):
    """What one algorithm made of the users, as it is stored under ``run_id``."""

    run_id: int
    algorithm: str
    parameters: dict[str, float]
    clusters: list[Cluster]
    """The least engaged first; noise is not among them."""
    noise: int
    """How many users are in none."""


class Clustered(NamedTuple):
    """The users of a snapshot or of the batch summary, clustered."""

    source: Source
    snapshot: Snapshot
    """With the live segments; number 0, if there is none."""
    users: int
    features: tuple[str, ...]
    silhouette_sample: int
    """The number of users whose silhouettes were taken."""
    choice: Choice | None
    """How the number of clusters was chosen, if it was."""
    runs: list[Run]
    comparison: list[Compared]


class _Source(NamedTuple):
    """Users to be clustered: ``user_id``, ``segment`` and the features, by which users are judged."""

    name: Source
    snapshot: Snapshot
    users: pd.DataFrame
    features: tuple[str, ...]


def cluster(
    settings: Settings,
    algorithms: Sequence[Algorithm],
    options: Options,
    k_range: tuple[int, int] | None,
    now_ms: int,
    progress: Progress = silent,
    source: Source = "snapshot",
) -> Clustered:
    """Cluster the users of the latest snapshot by each of the algorithms, store each run, and compare them.

    Or those of the batch summary, as of its last refresh, beside the segments of the latest snapshot. With a range of
    k, the number of clusters is chosen from it, in place of that of the options. Raises `UsageError` when there are no
    users, or too few different ones, or scikit-learn is missing; then nothing is stored.
    """
    with scikit_learn(), warehouse.connect(settings) as database:
        read = _read(database, settings, source)
        prepared = prepare(read.users, read.features)
        choice = _choose(prepared, k_range, progress)
        if choice:
            options = options._replace(k=choice.k)
        require_different(prepared.points, options.k if set(algorithms) & set(WITH_K) else 2)
        with progress("clustering", len(algorithms)) as advance:
            found: dict[str, Found] = {}
            for algorithm in algorithms:
                found[algorithm] = find(algorithm, prepared.points, options)
                advance(1)
        labels = {LIVE: _live(read.users["segment"])} | {name: each.labels for name, each in found.items()}
        with progress("comparing", len(labels)) as advance:
            comparison = compare(prepared.points, labels, advance)
        with progress("storing", len(found)) as advance:
            runs = []
            for line in comparison[1:]:
                described = describe(prepared, found[line.name].labels, settings.segments)
                runs.append(_store(database, read, line, found[line.name].parameters, described, now_ms))
                advance(1)
    sampled = min(len(read.users), MOST_USERS)
    return Clustered(source, read.snapshot, len(read.users), read.features, sampled, choice, runs, comparison)


def rate_live(users: pd.DataFrame, features: Sequence[str]) -> Compared:
    """How good the live segments of these users are. Raises `UsageError` when scikit-learn is missing."""
    with scikit_learn():
        labels = {LIVE: _live(users["segment"])}
        (rated,) = compare(prepare(users, features).points, labels, lambda _: None)
    return rated


def _read(database: Warehouse, settings: Settings, source: Source) -> _Source:
    """The users, and the features by which the model of the latest snapshot judges, or the next one is to."""
    warehouse.require_schema(database)
    none = Snapshot(0, 0, 0, 0)
    snapshot = (
        warehouse.find_snapshot(database) if source == "snapshot" else warehouse.latest_snapshot(database) or none
    )
    generation = warehouse.snapshot_generation(database, snapshot.snapshot_id)
    judging = named(generation.features, settings.kinds) if generation else settings.judging
    features = tuple([feature.name for feature in judging])
    if source == "summary":
        warehouse.require_whole_summary(database)
        users = read_summary_users(database, snapshot.snapshot_id, features)
        if users.empty:
            raise UsageError(
                "the batch summary holds no users: run `segmenter sink --once` and `segmenter summary refresh`."
            )
        return _Source(source, snapshot, users, features)
    users = read_users(database, snapshot.snapshot_id, ("user_id", "segment", *features))
    if users.empty:
        raise UsageError(
            f"snapshot {snapshot.snapshot_id} holds no users: publish events, run `segmenter worker --once` and "
            "`segmenter snapshot`."
        )
    return _Source(source, snapshot, users, features)


def _live(segments: pd.Series[str]) -> Labels:
    """The segments as labels; whoever no model has judged yet is in none."""
    labels, slugs = segments.factorize()
    unjudged = [index for index, slug in enumerate(slugs) if slug == UNASSIGNED]
    return np.where(np.isin(labels, unjudged), NOISE, labels)


def _choose(prepared: Prepared, k_range: tuple[int, int] | None, progress: Progress) -> Choice | None:
    if k_range is None:
        return None
    require_different(prepared.points, 2)
    with progress("choosing k", len(candidates(*k_range))) as advance:
        return choose(prepared.points, *k_range, advance)


def _store(
    database: Warehouse,
    read: _Source,
    compared: Compared,
    parameters: dict[str, float],
    described: Described,
    now_ms: int,
) -> Run:
    run = ClusterRun(
        read.snapshot.snapshot_id,
        compared.name,
        json.dumps({"source": read.name, "features": read.features, **parameters}),
        compared.k,
        len(read.users),
        compared.noise,
        *compared.scores,
        compared.agreement[LIVE],
        now_ms,
    )
    members = zip(read.users["user_id"], described.names, strict=True)
    number = warehouse.write_clusters(database, run, members)
    return Run(number, compared.name, parameters, described.clusters, compared.noise)
