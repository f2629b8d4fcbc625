"""`segmenter cluster`: other clusterings of the users, beside the live segments."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.analysis.algorithms import Algorithm, Options
    from segmenter.operations.analysis.clusters import Clustered

Name = Literal["kmeans", "minibatch", "hierarchical", "dbscan", "hdbscan", "gmm", "all"]


def cluster(
    *,
    algorithm: Name = "kmeans",
    k: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    choose_k: str | None = None,
    eps: Annotated[float | None, Parameter(validator=Number(gt=0, lt=float("inf")))] = None,
    min_samples: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    source: Literal["snapshot", "summary"] = "snapshot",
    json: common.Json = False,
) -> None:
    """Cluster the users of the latest snapshot by another algorithm, and compare the result with the live segments.

    Users are clustered by the features that judge them, on the scale of the live model. The cluster of each user goes
    into the table cluster_members, the scores into cluster_runs; the live segments stay as they are. What each
    algorithm does, and when to use which: docs/algorithms.md.

    Parameters
    ----------
    algorithm
        The algorithm; all runs one after the other.
    k
        The number of clusters; by default as many as the setting segments has. dbscan and hdbscan find it themselves.
    choose_k
        A range such as 2..10: choose the number of clusters from it by silhouette, elbow and gap statistic.
    eps
        For dbscan: up to which distance users are neighbours, in standard deviations of the features. By default it is
        where the distances to the min-samples-th user bend most.
    min_samples
        For dbscan and hdbscan: how many users within a distance make it dense; by default twice the number of features.
    source
        summary takes the users of the batch summary, as of its last refresh, in place of those of the latest snapshot;
        the live segments are still those of the snapshot.
    """
    k_range = None if choose_k is None else _range(choose_k)
    from segmenter.analysis.algorithms import ALGORITHMS
    from segmenter.operations.analysis.clusters import cluster as run

    wanted = ALGORITHMS if algorithm == "all" else (algorithm,)
    settings = common.settings("warehouse_url")
    options = _options(wanted, k, k_range, eps, min_samples, len(settings.segments))
    found = run(settings, wanted, options, k_range, time.time_ns() // 1_000_000, common.progress, source)
    common.emit(_report(found), json, _show)


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})\.\.(\d{1,4})", text)
    lowest, highest = map(int, match.groups()) if match else (0, 0)
    if not 2 <= lowest < highest:
        raise UsageError(f"--choose-k is {text!r}; allowed: LOWEST..HIGHEST, from 2 up, such as 2..10.")
    return lowest, highest


def _options(
    wanted: tuple[Algorithm, ...],
    k: int | None,
    k_range: tuple[int, int] | None,
    eps: float | None,
    min_samples: int | None,
    segments: int,
) -> Options:
    """What to ask of the algorithms. Raises `UsageError` for an option that none of them has."""
    from segmenter.analysis.algorithms import WITH_K, WITH_MIN_SAMPLES, Options

    if k is not None and k_range:
        raise UsageError("--k and --choose-k: leave one of them out.")
    for option, given, of in (
        ("--k", k, WITH_K),
        ("--choose-k", k_range, WITH_K),
        ("--eps", eps, ("dbscan",)),
        ("--min-samples", min_samples, WITH_MIN_SAMPLES),
    ):
        if given is not None and not set(wanted) & set(of):
            raise UsageError(f"{option} means nothing to {wanted[0]}: leave it out; it is for {', '.join(of)} and all.")
    return Options(segments if k is None else k, eps, min_samples)


def _report(found: Clustered) -> dict[str, Any]:
    choice = found.choice
    return {
        **found.snapshot._asdict(),
        "source": found.source,
        "users": found.users,
        "features": list(found.features),
        "silhouette_sample": found.silhouette_sample,
        "choice": choice and {**choice._asdict(), "candidates": [each._asdict() for each in choice.candidates]},
        "runs": [{**run._asdict(), "clusters": [each._asdict() for each in run.clusters]} for run in found.runs],
        "comparison": [{**each._asdict(), "scores": each.scores._asdict()} for each in found.comparison],
    }


def _show(report: dict[str, Any]) -> None:
    line = common.console.print
    beside = f"snapshot {report['snapshot_id']}" if report["snapshot_id"] else "no snapshot"
    what = beside if report["source"] == "snapshot" else f"batch summary, beside the segments of {beside}"
    line(f"{what}, {report['users']:,} users, by {', '.join(report['features'])}")
    if report["choice"]:
        _show_choice(report["choice"])
    for run in report["runs"]:
        _show_run(run, report["features"], report["users"])
    _show_comparison(report)


def _show_choice(choice: dict[str, Any]) -> None:
    table = Table(title=f"how many clusters, by {choice['sample']:,} users")
    for title in ("k", "inertia per user", "silhouette", "gap", "standard error", "chosen by"):
        table.add_column(title, justify="right" if title != "chosen by" else "left")
    for row in choice["candidates"]:
        by = [rule for rule in ("silhouette", "elbow", "gap") if choice[rule] == row["k"]]
        numbers = [_number(row[name], 4) for name in ("inertia", "silhouette", "gap", "error")]
        table.add_row(str(row["k"]), *numbers, ", ".join(by))
    common.console.print(table)
    common.console.print(f"k = {choice['k']}, the middle one of the three")
    if choice["gap"] == 1:
        common.console.print("by the gap statistic the users are one group: any k divides what belongs together")


def _show_run(run: dict[str, Any], features: list[str], users: int) -> None:
    said = ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in run["parameters"].items())
    table = Table("cluster", title=f"{run['algorithm']}, run {run['run_id']}: {said}; typical values")
    for title in ("users", "share", *features):
        table.add_column(title, justify="right")
    for row in run["clusters"]:
        typical = ["missing" if value is None else f"{value:,.1f}" for value in row["typical"].values()]
        table.add_row(row["name"], f"{row['users']:,}", f"{row['share']:.1%}", *typical)
    if run["noise"]:
        table.add_row("noise", f"{run['noise']:,}", f"{run['noise'] / users:.1%}", *([""] * len(features)))
    common.console.print(table)


def _show_comparison(report: dict[str, Any]) -> None:
    rows, users = report["comparison"], report["users"]
    sampled = report["silhouette_sample"]
    of = f"; silhouette of a sample of {sampled:,} users" if sampled < users else ""
    table = Table("", title=f"scores, without noise{of}")
    for title in ("k", "noise", "silhouette", "Davies-Bouldin", "Calinski-Harabasz"):
        table.add_column(title, justify="right")
    for row in rows:
        score = row["scores"]
        table.add_row(
            row["name"], str(row["k"]), f"{row['noise'] / users:.1%}", _number(score["silhouette"], 3),
            _number(score["davies_bouldin"], 3), _number(score["calinski_harabasz"], 1),
        )  # fmt: skip
    common.console.print(table)
    pairs = Table("", title="adjusted Rand index, without the noise of both")
    for row in rows:
        pairs.add_column(row["name"], justify="right")
    for row in rows:
        pairs.add_row(row["name"], *[_number(value, 3) for value in row["agreement"].values()])
    common.console.print(pairs)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
