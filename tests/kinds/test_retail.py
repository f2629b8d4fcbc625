"""Invoices as purchases, through the whole product, against plain pandas over the file."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from consumers import sink, worker
from producers.messages import Message
from producers.publish import publish
from producers.recorded.replay import ReplayOptions, messages
from segmenter.events import Rules
from segmenter.kinds import pick
from segmenter.operations import snapshot
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from tests.loop.helpers import rows
from tests.producers.recorded_files import file, sizes

NAME = "uci-online-retail.csv.gz"
MAPPING = Path(__file__).parents[2] / "examples" / "mappings" / "uci-online-retail.toml"


def fewer(path: Path, folder: Path) -> Path:
    """The lines of one in ten customers, and those of nobody, in a file of the same name."""
    lines = pd.read_csv(path, dtype=str, keep_default_na=False)
    lines[lines["CustomerID"].str[-3:].isin(["3.0", ""])].to_csv(folder / path.name, index=False)
    return folder / path.name


def plainly(path: Path) -> dict[str, tuple[int, ...]]:
    """Of each customer: how many invoices, their amount in pence, the first and the last time."""
    lines = pd.read_csv(path, dtype=str, keep_default_na=False)
    lines = lines[lines["CustomerID"] != ""]
    lines["pence"] = [
        100 * Decimal(price) * Decimal(quantity)
        for price, quantity in zip(lines["UnitPrice"], lines["Quantity"], strict=True)
    ]
    invoices = lines.groupby("InvoiceNo").agg({"CustomerID": "first", "InvoiceDate": "first", "pence": "sum"})
    invoices["pence"] = [round(pence) for pence in invoices["pence"]]
    invoices["time_ms"] = pd.to_datetime(invoices["InvoiceDate"], utc=True).dt.as_unit("ms").astype("int64")
    return {
        str(customer): (
            len(own),
            len(own),
            int(own["pence"].sum()),
            int(own["time_ms"].min()),
            int(own["time_ms"].max()),
        )
        for customer, own in invoices.groupby("CustomerID")
    }


@pytest.mark.parametrize("size", sizes(NAME))
@pytest.mark.timeout(240)
def test_purchases_equal_pandas(settings: Settings, size: str, tmp_path: Path) -> None:
    """Cancellations are refunds with a negative amount; stream and batch are equal, too."""
    shop = replace(settings, kinds=pick(["purchase"]), currency="GBP")
    path = file(NAME, size, tmp_path)
    if size == "recorded":
        path = fewer(path, tmp_path)
    found = list(messages(path, MAPPING, Rules.of(shop), time.time_ns() // 1_000_000, ReplayOptions()))
    assert any(json.loads(each.value or b"")["amount"] < 0 for each in found if isinstance(each, Message))
    publish(shop, found)
    worker.run(shop, once=True)
    expected = plainly(path)
    assert {row.user.decode(): row.profile for row in rows(shop).values()} == expected
    sink.run(shop, once=True)
    snapshot.take(shop, 1)
    _, result = reconcile(shop)
    assert (result.compared, result.equal) == (len(expected), True)
