"""Age and income of the households of a real shop that spend most, against plain pandas over the files."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from segmenter.kinds import by_topic, pick
from segmenter.operations.segments.profiles import profile
from segmenter.operations.users import load as loading
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from tests.profiles.world import SLUGS, World, load
from tests.users.test_completejourney import MAPPINGS, data

LOW, MIDDLE, HIGH = SLUGS


@pytest.fixture
def shop(settings: Settings, database: Warehouse) -> World:
    """The purchases of all households in three weeks; a third of the households in each segment, by what they spend."""
    lines = pd.read_parquet(data() / "transactions.parquet")
    lines = lines[lines["week"].isin([20, 21, 22])]
    topic = next(iter(by_topic(pick(["purchase"]))))
    absent = dict.fromkeys(("event_id", "device", "url", "query", "properties", "duration_ms"))
    events = pd.DataFrame({
        "topic": topic, "part": 0, "pos": range(len(lines)),
        "user_id": [str(each).encode() for each in lines["household_id"]],
        "time_ms": lines["transaction_timestamp"].dt.as_unit("ms").astype("int64"),
        "item_id": [str(each) for each in lines["product_id"]],
        "amount": (lines["sales_value"] * 100).round().astype("int64"),
    }).assign(**absent)  # fmt: skip
    events = events.astype(dict.fromkeys((*absent, "amount"), object))
    spent = events.groupby("user_id")["amount"].sum().astype("int64").rank(method="first")
    users = pd.DataFrame({"user_id": spent.index, "segment": pd.cut(spent, 3, labels=SLUGS).astype(str).to_list()})
    cuts = [f"cut_{kind.topic}" for kind in settings.kinds]
    of = World(users.assign(**dict.fromkeys(cuts, len(events))), events)
    load(database, of)
    loading.load(settings, data() / "demographics.parquet", MAPPINGS / "completejourney-demographics.toml", 5)
    return of


def test_households_by_age_and_income(settings: Settings, shop: World) -> None:
    (found,) = profile(replace(settings, currency="USD"), HIGH).profiles
    known = pd.read_parquet(data() / "demographics.parquet")
    known["user_id"] = known["household_id"].astype(str).str.encode("ascii")
    of_users = shop.users.merge(known, on="user_id", how="left").assign(high=lambda table: table["segment"] == HIGH)
    by_name = {each.name: each for each in found.attributes}
    p_values = [test.p for each in found.attributes for test in each.findings]
    for name, column in {"age_band": "age", "income_band": "income"}.items():
        attribute = by_name[name]
        assert attribute.known == of_users.loc[of_users["high"], column].notna().sum() > 100
        assert attribute.unknown == of_users.loc[of_users["high"], column].isna().sum()
        table = pd.crosstab(of_users[column].astype(object), of_users["high"].map({True: "in", False: "out"}))
        shares = table / table.sum()
        for test in attribute.findings:
            print(f"{name} {test.value}: {test.inside:.1%} against {test.outside:.1%}, p {test.corrected_p:.4f}")
            own, rest = table.loc[test.value, ["in", "out"]], (table.sum() - table.loc[test.value])[["in", "out"]]
            assert (test.inside, test.outside) == pytest.approx(tuple(shares.loc[test.value, ["in", "out"]]))
            assert test.p == pytest.approx(stats.fisher_exact([own, rest]).pvalue)
            assert test.corrected_p >= test.p
        assert {test.value for test in attribute.findings} <= set(table.index)
    smallest = min(p_values)
    assert min(test.corrected_p for each in found.attributes for test in each.findings) == pytest.approx(
        min(1.0, smallest * len(p_values))
    )
    assert [test.value for test in by_name["income_band"].findings if test.significant]
    (amounts,) = found.amounts
    own = shop.events.merge(shop.users, on="user_id")
    assert amounts.inside.paid == own.loc[(own["segment"] == HIGH) & (own["amount"] >= 0), "amount"].sum()
    spends = next(each for each in found.sentences if each.startswith("Has purchases that come to"))
    assert re.search(r"times as much in total as those of others: USD [\d.]+ on average against USD [\d.]+\.$", spends)
