"""`segmenter cluster`: from a snapshot to stored clusters, on each warehouse, and what is printed of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from sqlalchemy import text

from segmenter import warehouse
from segmenter.analysis.algorithms import ALGORITHMS, Options
from segmenter.errors import NothingYet, UsageError
from segmenter.kinds import DEFAULT, catalogue
from segmenter.model.features import features
from segmenter.model.generation import Generation, Segment
from segmenter.operations.analysis.clusters import cluster
from segmenter.settings import Settings
from segmenter.warehouse import ClusterRun, Warehouse
from segmenter.warehouse.engine import listed, reading, writing
from segmenter.warehouse.snapshot_contents import read_users
from tests import verbs
from tests.analysis import plainly
from tests.defaults import FIELDS, NAMES

SLUGS = ("low_engagement", "moderate_engagement", "highly_engaged")
GROUPS = {"low_engagement": (2, 1, 700), "moderate_engagement": (30, 12, 4_000), "highly_engaged": (400, 150, 30_000)}
"""Clicks, searches and milliseconds on a page of the users who are planted for each segment."""
MODEL = Generation(
    number=4, cause="bootstrap", features=NAMES, centres=((0.0,) * 4,) * 3,
    segments=tuple([Segment(index, slug, slug) for index, slug in enumerate(SLUGS)]),
    scale=(1.0,) * 4, fill=(0.0,) * 4, population=90, fitted_population=90, created_ms=5,
)  # fmt: skip

User = tuple[bytes, str, tuple[int, ...]]
"""Id, segment and profile."""


def planted(each: int = 40) -> list[User]:
    """So many users of each group; in the middle one, one in four has timed neither a click nor a view."""
    random = np.random.default_rng(8)
    users = []
    for slug, (clicks, searches, milliseconds) in GROUPS.items():
        for number in range(each):
            done = [max(1, int(random.normal(count, count / 5))) for count in (clicks, searches)]
            times = [int(random.normal(milliseconds, milliseconds / 8)) for _ in range(2)]
            timed = 0 if slug == SLUGS[1] and number % 4 == 0 else 1
            profile = (done[0], timed, timed * times[0], done[1], 1, timed, timed * times[1], 5, 6)
            users.append((f"{slug} {number} \xff".encode("latin-1"), slug, profile))
    return users


def take(database: Warehouse, users: Sequence[User], model: Generation | None = MODEL) -> None:
    rows = []
    for user, slug, profile in users:
        numbers = features(dict(zip(FIELDS, profile, strict=True)), catalogue(DEFAULT)).values()
        rows.append((user, 0, *profile, *numbers, slug, 4, 1, 0, 0))
    body = None if model is None else model.encode().decode()
    warehouse.write_snapshot(database, 1_000, {}, [rows], model.number if model else 0, body, {})


@pytest.fixture
def settings(warehouse_url: str) -> Settings:
    """Settings of this warehouse alone."""
    return Settings(warehouse_url=warehouse_url)


def rows(database: Warehouse, query: str) -> list[tuple[object, ...]]:
    with reading(database) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_each_run_is_stored_with_the_cluster_of_every_user(settings: Settings, database: Warehouse) -> None:
    users = planted()
    take(database, users)
    found = cluster(settings, ALGORITHMS, Options(k=3), None, now_ms=77)
    assert found.features == NAMES
    runs = rows(database, "SELECT run_id, snapshot_id, algorithm, k, users, noise, taken_ms FROM cluster_runs")
    assert [run[2] for run in runs] == list(ALGORITHMS)
    for run, (number, *stored) in zip(found.runs, runs, strict=True):
        assert run.run_id == number
        assert stored == [1, run.algorithm, len(run.clusters), len(users), run.noise, 77]
        query = f"SELECT user_id, cluster FROM cluster_members WHERE run_id = {number}"
        members = {bytes(user): name for user, name in rows(database, query)}
        assert members.keys() == {user for user, _, _ in users}
        counted = Counter(members.values())
        assert counted.pop("noise", 0) == run.noise
        assert counted == {each.name: each.users for each in run.clusters}
        if run.algorithm in ("kmeans", "minibatch", "hierarchical", "gmm"):
            assert members == {user: slug for user, slug, _ in users}


def test_the_stored_numbers_are_those_of_the_users(settings: Settings, database: Warehouse) -> None:
    """The scores from plain pandas and the formulas of the papers, and the agreement with the segments."""
    users = [(user, SLUGS[number % 2], profile) for number, (user, _, profile) in enumerate(planted())]
    take(database, users)
    cluster(settings, ["kmeans"], Options(k=3), None, now_ms=1)
    ((parameters, *scores),) = rows(
        database,
        "SELECT parameters, silhouette, davies_bouldin, calinski_harabasz, rand_live FROM cluster_runs",
    )
    frame = read_users(database, 1)
    logs = np.log1p(frame[list(NAMES)])
    points = logs.fillna(logs.mean()).to_numpy()
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    labels = frame["user_id"].map(lambda user: sorted(GROUPS).index(user.split()[0].decode())).to_numpy()
    live = frame["segment"].map(SLUGS.index).to_numpy()
    assert scores == pytest.approx(
        [
            plainly.silhouette(points, labels),
            plainly.davies_bouldin(points, labels),
            plainly.calinski_harabasz(points, labels),
            plainly.adjusted_rand(labels, live),
        ],
        rel=1e-4,
    )
    said = json.loads(str(parameters))
    assert (said["k"], said["features"]) == (3, list(NAMES))


def test_strays_are_stored_as_noise_and_are_no_cluster(settings: Settings, database: Warehouse) -> None:
    strays = [
        (b"stray 1", SLUGS[0], (10**6, 1, 5, 10**6, 1, 1, 80_000_000, 5, 6)),
        (b"stray 2", SLUGS[0], (1, 1, 80_000_000, 10**6, 1, 1, 0, 5, 6)),
    ]
    take(database, [*planted(), *strays])
    found = cluster(settings, ["dbscan"], Options(k=3, eps=1.0, min_samples=5), None, now_ms=1)
    (run,) = found.runs
    assert run.noise >= 2
    assert "noise" not in {each.name for each in run.clusters}
    noise = rows(database, "SELECT user_id FROM cluster_members WHERE cluster = 'noise'")
    assert len(noise) == run.noise
    assert {b"stray 1", b"stray 2"} <= {bytes(user) for (user,) in noise}  # type: ignore[arg-type]
    assert [line.noise for line in found.comparison] == [0, run.noise]


def test_whoever_no_model_has_judged_is_in_no_segment(settings: Settings, database: Warehouse) -> None:
    take(database, [(user, "unassigned", profile) for user, _, profile in planted()], model=None)
    found = cluster(settings, ["kmeans"], Options(k=3), None, now_ms=1)
    live, _ = found.comparison
    assert (live.k, live.noise) == (0, 120)
    assert rows(database, "SELECT rand_live FROM cluster_runs") == [(None,)]


def test_a_run_is_there_as_a_whole_or_not_at_all(database: Warehouse) -> None:
    run = ClusterRun(1, "kmeans", "{}", 1, 2, 0, None, None, None, None, 5)

    def members() -> Iterator[tuple[bytes, str]]:
        yield from [(f"u{number}".encode(), "cluster 1") for number in range(20_000)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warehouse.write_clusters(database, run, members())
    assert rows(database, "SELECT COUNT(*) FROM cluster_runs") == [(0,)]
    assert rows(database, "SELECT COUNT(*) FROM cluster_members") == [(0,)]
    assert warehouse.write_clusters(database, run, [(b"u1", "noise")]) == 1
    assert warehouse.write_clusters(database, run, [(b"u1", "noise")]) == 2


def test_runs_outlive_their_snapshot(settings: Settings, database: Warehouse) -> None:
    take(database, planted())
    cluster(settings, ["kmeans"], Options(k=3), None, now_ms=1)
    take(database, planted(each=50))
    assert warehouse.remove_snapshots(database, 1) == [1]
    found = cluster(settings, ["kmeans"], Options(k=3), None, now_ms=1)
    assert found.snapshot.snapshot_id == 2
    assert rows(database, "SELECT run_id, COUNT(*) FROM cluster_members GROUP BY run_id ORDER BY run_id") == [
        (1, 120),
        (2, 150),
    ]


def test_the_query_of_the_page_is_answered(settings: Settings, database: Warehouse) -> None:
    """Users and mean clicks of each cluster, which pandas takes from the snapshot and the segments.

    The batch summary that the page asks says the same as the snapshot here.
    """
    page = (Path(__file__).parents[2] / "docs" / "algorithms.md").read_text("utf-8")
    assert [name for name in ALGORITHMS if f"| `{name}` |" not in page] == []
    (query,) = re.findall(r"```sql\n(.*?);\n```", page, re.DOTALL)
    take(database, planted())
    own = listed(("user_id", *FIELDS))
    distinct = "distinct_days, distinct_sessions, distinct_pages, distinct_queries"
    with writing(database) as connection:
        summary = f"INSERT INTO user_summary ({own}, {distinct}) SELECT {own}, 1, 1, 1, 1 FROM snapshot_users"
        connection.execute(text(summary))
    cluster(settings, ["kmeans"], Options(k=3), None, now_ms=1)
    expected = read_users(database, 1).groupby("segment")["total_clicks"].agg(["size", "mean"]).sort_values("mean")
    found = [(name, users, float(str(clicks))) for name, users, clicks in rows(database, query)]
    assert found == [(name, size, pytest.approx(mean, rel=1e-4)) for name, size, mean in expected.itertuples()]


def test_users_are_read_in_parts_and_only_the_columns_that_are_wanted(database: Warehouse) -> None:
    users = [(f"u{number:05}".encode(), SLUGS[0], (number, *([0] * 8))) for number in range(12_000)]
    take(database, users)
    frame = read_users(database, 1, ("user_id", "total_clicks", "mean_view_ms"))
    assert list(frame) == ["user_id", "total_clicks", "mean_view_ms"]
    assert frame["total_clicks"].tolist() == list(range(12_000))
    assert frame["user_id"].tolist() == [user for user, _, _ in users]
    assert frame["mean_view_ms"].isna().all() and frame["mean_view_ms"].dtype == np.float64
    nobody = read_users(database, 2)
    assert nobody.empty and nobody["mean_view_ms"].dtype == np.float64


def test_what_cannot_be_clustered_is_an_error_and_nothing_is_stored(settings: Settings, database: Warehouse) -> None:
    def error(k: int = 3, k_range: tuple[int, int] | None = None) -> str:
        with pytest.raises(UsageError) as raised:
            cluster(settings, ALGORITHMS, Options(k), k_range, now_ms=1)
        return str(raised.value)

    with pytest.raises(NothingYet, match="the warehouse holds no snapshot yet: run `segmenter snapshot`"):
        cluster(settings, ["kmeans"], Options(3), None, now_ms=1)
    take(database, [])
    assert error().startswith("snapshot 1 holds no users: publish events")
    take(database, planted()[:1])
    assert error().startswith("1 user is only one: there is nothing to cluster.")
    take(database, [(user, SLUGS[0], (1,) * 9) for user, _, _ in planted()])
    assert error().startswith("120 users have all the same features: there is nothing to cluster.")
    assert error(k_range=(2, 9)) == error()
    take(database, planted(each=2)[:3])
    assert error(k=4).startswith("only 3 users differ, so there cannot be 4 clusters: set --k lower")
    assert rows(database, "SELECT COUNT(*) FROM cluster_runs") == [(0,)]


def run(url: str, *arguments: str) -> CompletedProcess[str]:
    return verbs.run("cluster", *arguments, environment={"SEGMENTER_WAREHOUSE_URL": url})


def test_the_command_prints_tables_or_one_json_object(warehouse_url: str, database: Warehouse) -> None:
    take(database, planted())
    shown = run(warehouse_url, "--algorithm", "all", "--choose-k", "2..5")
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.replace("│", " ").split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "snapshot 1, 120 users, by " + ", ".join(NAMES)
    assert "k = 3, the middle one of the three" in lines
    clicks = np.expm1(np.mean([np.log1p(profile[0]) for _, slug, profile in planted() if slug == "highly_engaged"]))
    assert any(line.startswith(f"highly_engaged 40 33.3% {clicks:,.1f} ") for line in lines)
    assert any(line.startswith("kmeans 3 0.0% 0.") for line in lines)
    assert any(line.startswith("gmm 1.000 1.000 1.000 1.000") for line in lines)
    said = run(warehouse_url, "--algorithm", "dbscan", "--eps", "1.5", "--min-samples", "4", "--json")
    report = json.loads(said.stdout)
    assert (said.stdout.count("\n"), report["choice"], report["snapshot_id"]) == (1, None, 1)
    (only,) = report["runs"]
    assert (only["run_id"], only["parameters"]["eps"], only["parameters"]["min_samples"]) == (7, 1.5, 4)
    assert [line["name"] for line in report["comparison"]] == ["live", "dbscan"]
    assert set(report["comparison"][1]["agreement"]) == {"live", "dbscan"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--algorithm", "dbscan", "--k", "3"], "--k means nothing to dbscan: leave it out; it is for kmeans,"),
        (["--algorithm", "hdbscan", "--choose-k", "2..4"], "--choose-k means nothing to hdbscan: leave it out;"),
        (["--eps", "1"], "--eps means nothing to kmeans: leave it out; it is for dbscan and all."),
        (["--algorithm", "gmm", "--min-samples", "5"], "--min-samples means nothing to gmm: leave it out;"),
        (["--k", "3", "--choose-k", "2..4"], "--k and --choose-k: leave one of them out."),
        (["--choose-k", "1..4"], "--choose-k is '1..4'; allowed: LOWEST..HIGHEST, from 2 up, such as 2..10."),
        (["--choose-k", "4-9"], "--choose-k is '4-9'; allowed: LOWEST..HIGHEST"),
    ],
)
def test_an_option_that_means_nothing_is_an_error_of_one_line(arguments: list[str], words: str) -> None:
    ended = run("sqlite:///nowhere/w.db", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(f"error: {words}")


def test_without_scikit_learn_the_command_says_how_to_get_it() -> None:
    without = (
        "import sys; sys.modules['sklearn'] = None; sys.argv[1:] = ['cluster']; import segmenter.cli as c; c.main()"
    )
    environ = os.environ | {
        "SEGMENTER_WAREHOUSE_URL": "sqlite:///nowhere/w.db",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ended = subprocess.run([sys.executable, "-c", without], env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "pip install 'segmenter[analysis]'" in ended.stderr


def test_the_users_of_the_batch_summary(settings: Settings, database: Warehouse) -> None:
    """With what the raw events say of them, also of who has come since the snapshot."""
    users = planted()
    with writing(database) as connection:
        for user, _, profile in users:
            names = ", ".join(FIELDS)
            values = ", ".join(map(str, profile))
            connection.execute(
                text(
                    f"INSERT INTO user_summary (user_id, {names}, distinct_days, distinct_sessions, distinct_pages, "
                    f"distinct_queries) VALUES (:user, {values}, 1, 1, 1, 1)"
                ),
                {"user": user},
            )
    alone = cluster(settings, ["kmeans"], Options(3), None, 1, source="summary")
    assert (alone.source, alone.snapshot.snapshot_id, alone.users) == ("summary", 0, 120)
    assert alone.comparison[0].noise == 120, "no snapshot says how they are judged"
    take(database, users[:90])
    found = cluster(settings, ["kmeans"], Options(3), None, 1, source="summary")
    assert (found.snapshot.snapshot_id, found.users, found.comparison[0].noise) == (1, 120, 30)
    take(database, users)
    whole = cluster(settings, ["kmeans"], Options(3), None, 1)
    assert [each.clusters for each in found.runs] == [each.clusters for each in whole.runs]
    assert found.comparison[1].scores == whole.comparison[1].scores


def test_an_empty_summary_says_what_to_run(settings: Settings, database: Warehouse) -> None:
    with pytest.raises(UsageError, match="holds no users: run `segmenter sink --once` and `segmenter summary refresh`"):
        cluster(settings, ["kmeans"], Options(3), None, 1, source="summary")
