"""Real recorded files give the aggregates that plain pandas computes from them. The files are not shipped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import msgspec
import pandas as pd
import pytest

from producers.messages import Message, Refused
from producers.recorded import replay
from producers.recorded.replay import ReplayOptions
from segmenter.events import TOPICS, Event, Rules

CHECKOUT = Path(__file__).parents[2]
DATA = CHECKOUT.parent / "shared" / "data"
NOW_MS = 1_800_000_000_000
CAP_MS = 1_800_000

SEARCHES = ["search for destination", "search for item", "search for poi"]
VIEWS = [f"interaction item {part}" for part in ("info", "rating", "deals", "image")]


def recorded(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here: it is somebody else's data and not shipped")
    return path


def replayed(name: str) -> tuple[pd.DataFrame, Counter[str]]:
    """One row for each event as it would be published, and the refused rows by reason."""
    mapping = CHECKOUT / "examples" / "mappings" / f"{name.split('.')[0]}.toml"
    found = list(replay.messages(recorded(name), mapping, Rules(partitions=4), NOW_MS, ReplayOptions()))
    refused = Counter(each.reason for each in found if isinstance(each, Refused))
    events = [
        (TOPICS[each.topic], msgspec.json.decode(cast(bytes, each.value), type=Event))
        for each in found
        if isinstance(each, Message)
    ]
    columns = ["user", "kind", "time_ms", "duration_ms"]
    rows = [(event.user_id, kind, event.time_ms, event.duration_ms) for kind, event in events]
    return pd.DataFrame(rows, columns=columns), refused


def profiles(events: pd.DataFrame) -> pd.DataFrame:
    """Counts, sums of durations and edges of time by user and kind: all that a profile is made of."""
    exact = events.assign(duration_ms=events["duration_ms"].astype("Int64"), user=events["user"].astype(object))
    return exact.groupby(["user", "kind"]).agg(
        events=("time_ms", "size"),
        timed=("duration_ms", "count"),
        total_ms=("duration_ms", "sum"),
        first_ms=("time_ms", "min"),
        last_ms=("time_ms", "max"),
    )


def with_durations(events: pd.DataFrame) -> pd.DataFrame:
    """Until the next event of the same session, capped; none for searches."""
    ordered = events.sort_values(["user", "session", "time_ms"], kind="stable")
    following = ordered.groupby(["user", "session"])["time_ms"].shift(-1)
    lasting = (following - ordered["time_ms"]).clip(upper=CAP_MS).where(ordered["kind"] != "search")
    return events.assign(duration_ms=lasting)


def test_trivago() -> None:
    events, refused = replayed("trivago-half.parquet")
    raw = pd.read_parquet(DATA / "trivago-half.parquet")
    kind = pd.Series("click", raw.index).mask(raw["action_type"].isin(SEARCHES), "search")
    plain = pd.DataFrame(
        {
            "user": raw["user_id"],
            "session": raw["session_id"],
            "kind": kind.mask(raw["action_type"].isin(VIEWS), "view"),
            "time_ms": raw["timestamp"] * 1_000,
        }
    ).reset_index(drop=True)
    assert (len(events), refused) == (47_675, Counter())
    pd.testing.assert_frame_equal(profiles(events), profiles(with_durations(plain)))


def test_deskdrop() -> None:
    events, refused = replayed("deskdrop.csv.gz")
    raw = pd.read_csv(DATA / "deskdrop.csv.gz", dtype=str, keep_default_na=False)
    plain = pd.DataFrame(
        {
            "user": raw["personId"],
            "session": raw["sessionId"],
            "kind": raw["eventType"].eq("VIEW").map({True: "view", False: "click"}),
            "time_ms": raw["timestamp"].astype("int64") * 1_000,
        }
    )
    assert (len(events), refused) == (72_312, Counter())
    pd.testing.assert_frame_equal(profiles(events), profiles(with_durations(plain)))


def test_online_retail() -> None:
    events, refused = replayed("uci-online-retail.csv.gz")
    raw = pd.read_csv(DATA / "uci-online-retail.csv.gz", dtype=str, keep_default_na=False)
    invoices = raw[raw["CustomerID"] != ""].drop_duplicates("InvoiceNo")
    plain = pd.DataFrame(
        {
            "user": invoices["CustomerID"],
            "kind": "click",
            "time_ms": pd.to_datetime(invoices["InvoiceDate"], utc=True).dt.as_unit("ms").astype("int64"),
            "duration_ms": pd.Series(pd.NA, invoices.index, dtype="Int64"),
        }
    )
    without = int((raw["CustomerID"] == "").sum())
    again = len(raw) - without - len(invoices)
    assert refused == Counter({"no user": without, "another row of the same InvoiceNo": again})
    assert len(events) + refused.total() == 541_909
    pd.testing.assert_frame_equal(profiles(events), profiles(plain))
