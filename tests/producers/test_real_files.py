"""Recorded files give the aggregates that plain pandas computes from them: small ones, and real ones that are there."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec
import pandas as pd
import pytest

from producers.messages import Message, Refused
from producers.recorded import replay
from producers.recorded.replay import ReplayOptions
from segmenter.events import Rules, measure_of, type_of
from segmenter.kinds import BUILT_IN, DEFAULT, by_topic
from tests.producers.recorded_files import file, sizes

MAPPINGS = Path(__file__).parents[2] / "examples" / "mappings"
NOW_MS = 1_800_000_000_000
CAP_MS = 1_800_000
RULES = Rules(partitions=4, kinds=(*DEFAULT, BUILT_IN["purchase"]), currency="GBP")

SEARCHES = ["search for destination", "search for item", "search for poi"]
VIEWS = [f"interaction item {part}" for part in ("info", "rating", "deals", "image")]


Replayed = tuple[Path, pd.DataFrame, Counter[str]]


def on(name: str) -> pytest.MarkDecorator:
    """Run a test on the files of this name that are there."""
    return pytest.mark.parametrize("replayed", [(name, size) for size in sizes(name)], ids=sizes(name), indirect=True)


@pytest.fixture
def replayed(request: pytest.FixtureRequest, tmp_path: Path) -> Replayed:
    """A file, one row for each event as it would be published, and the refused rows by reason."""
    name, size = request.param
    path = file(name, size, tmp_path)
    mapping = MAPPINGS / f"{name.split('.')[0]}.toml"
    found = list(replay.messages(path, mapping, RULES, NOW_MS, ReplayOptions()))
    refused = Counter(each.reason for each in found if isinstance(each, Refused))
    rows = []
    for message in [each for each in found if isinstance(each, Message)]:
        kind = by_topic(RULES.kinds)[message.topic]
        event = msgspec.json.decode(cast(bytes, message.value), type=type_of(kind))
        rows.append((event.user_id, kind.name, event.time_ms, measure_of(event, kind)))
    return path, pd.DataFrame(rows, columns=["user", "kind", "time_ms", "measure"]), refused


def profiles(events: pd.DataFrame) -> pd.DataFrame:
    """Counts, sums of what is measured and edges of time by user and kind: all that a profile is made of."""
    exact = events.assign(measure=events["measure"].astype("Int64"), user=events["user"].astype(object))
    return exact.groupby(["user", "kind"]).agg(
        events=("time_ms", "size"),
        measured=("measure", "count"),
        total=("measure", "sum"),
        first_ms=("time_ms", "min"),
        last_ms=("time_ms", "max"),
    )


def with_durations(events: pd.DataFrame) -> pd.DataFrame:
    """Until the next event of the same session, capped; none for searches."""
    ordered = events.sort_values(["user", "session", "time_ms"], kind="stable")
    following = ordered.groupby(["user", "session"])["time_ms"].shift(-1)
    lasting = (following - ordered["time_ms"]).clip(upper=CAP_MS).where(ordered["kind"] != "search")
    assert {0, CAP_MS} < set(lasting.dropna())
    return events.assign(measure=lasting)


@on("trivago-half.parquet")
def test_trivago(replayed: Replayed) -> None:
    path, events, refused = replayed
    raw = pd.read_parquet(path)
    kind = pd.Series("click", raw.index).mask(raw["action_type"].isin(SEARCHES), "search")
    plain = pd.DataFrame(
        {
            "user": raw["user_id"],
            "session": raw["session_id"],
            "kind": kind.mask(raw["action_type"].isin(VIEWS), "view"),
            "time_ms": raw["timestamp"] * 1_000,
        }
    ).reset_index(drop=True)
    assert (len(events), refused) == (len(raw), Counter())
    pd.testing.assert_frame_equal(profiles(events), profiles(with_durations(plain)))


@on("deskdrop.csv.gz")
def test_deskdrop(replayed: Replayed) -> None:
    path, events, refused = replayed
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    plain = pd.DataFrame(
        {
            "user": raw["personId"],
            "session": raw["sessionId"],
            "kind": raw["eventType"].eq("VIEW").map({True: "view", False: "click"}),
            "time_ms": raw["timestamp"].astype("int64") * 1_000,
        }
    )
    assert (len(events), refused) == (len(raw), Counter())
    pd.testing.assert_frame_equal(profiles(events), profiles(with_durations(plain)))


@on("eshop-clothing-2008.csv.gz")
def test_eshop(replayed: Replayed) -> None:
    path, events, refused = replayed
    raw = pd.read_csv(path, sep=";", dtype=str, keep_default_na=False)
    day = pd.to_datetime(raw[["year", "month", "day"]], utc=True).dt.as_unit("ms").astype("int64")
    plain = pd.DataFrame(
        {
            "user": raw["session ID"],
            "kind": "view",
            "time_ms": day + raw["order"].astype("int64") * 60_000,
            "measure": pd.Series(pd.NA, raw.index, dtype="Int64"),
        }
    )
    assert (len(events), refused) == (len(raw), Counter())
    pd.testing.assert_frame_equal(profiles(events), profiles(plain))


@on("uci-online-retail.csv.gz")
def test_online_retail(replayed: Replayed) -> None:
    path, events, refused = replayed
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    lines = raw[raw["CustomerID"] != ""]
    cells = zip(lines["InvoiceNo"], lines["UnitPrice"], lines["Quantity"], strict=True)
    amounts: dict[str, Decimal] = {}
    for invoice, price, quantity in cells:
        amounts[invoice] = amounts.get(invoice, Decimal(0)) + 100 * Decimal(price) * Decimal(quantity)
    invoices = lines.drop_duplicates("InvoiceNo")
    plain = pd.DataFrame(
        {
            "user": invoices["CustomerID"],
            "kind": "purchase",
            "time_ms": pd.to_datetime(invoices["InvoiceDate"], utc=True).dt.as_unit("ms").astype("int64"),
            "measure": [round(amounts[invoice]) for invoice in invoices["InvoiceNo"]],
        }
    )
    assert (plain["measure"] < 0).any()
    without = int((raw["CustomerID"] == "").sum())
    again = len(raw) - without - len(invoices)
    assert refused == Counter({"no user": without, "summed up with another row of the same InvoiceNo": again})
    assert without and again and len(events) + refused.total() == len(raw)
    pd.testing.assert_frame_equal(profiles(events), profiles(plain))
