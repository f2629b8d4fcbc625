"""The recorded files that the mappings in examples/mappings/ are for, and small ones of the same shapes, made up here.

The recorded ones are others' data and not shipped: where they lie, tests run on them too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parents[2].parent / "shared" / "data"
"""Where the recorded files are, if anywhere: beside the checkout."""


def sizes(name: str) -> list[str]:
    """On which files of this name a test can run: always ``small``, and ``recorded`` where that is there."""
    return ["small", *(["recorded"] if (FOLDER / name).exists() else [])]


def file(name: str, size: str, folder: Path) -> Path:
    """The recorded file of this name, or a small one that is written to ``folder``."""
    if size == "recorded":
        return FOLDER / name
    SMALL[name](folder / name)
    return folder / name


def missing() -> list[str]:
    """The recorded files that are not there."""
    return [name for name in SMALL if not (FOLDER / name).exists()]


def _trivago(path: Path) -> None:
    """Rows by user and session in the order of time, some at the same second; pauses on both sides of the cap."""
    rng = random.Random(1)
    actions = [
        *("clickout item", "filter selection", "change of sort order", "search for destination", "search for item"),
        *("search for poi", *(f"interaction item {part}" for part in ("info", "rating", "deals", "image"))),
    ]
    rows: list[dict[str, object]] = []
    for visit in ("01PAENC a99c", "0568F16 84c8", "0568F16 84c9", "N\u00fc\u00df 1", "9 e1"):
        user, session = visit.split()
        second = 1_541_595_108
        for step in range(1, 13):
            second += rng.choice([0, 0, 3, 1_799, 1_800, 1_801, 40_000])
            action = rng.choice(actions)
            shown = "6335|4517090" if action == "clickout item" else None
            rows.append(
                {
                    "user_id": user,
                    "session_id": session,
                    "timestamp": second,
                    "step": step,
                    "action_type": action,
                    "reference": "Niagara Falls, Canada" if action.startswith("search") else str(4_517_090 + step),
                    "platform": "RU",
                    "city": "Dortmund, Germany",
                    "device": rng.choice(["mobile", "desktop", "tablet"]),
                    "current_filters": "Focus on Distance" if action == "filter selection" else None,
                    "impressions": shown,
                    "prices": shown and "163|126",
                }
            )
    pd.DataFrame(rows, index=range(35, 35 + 2 * len(rows), 2)).to_parquet(path)  # what a filter leaves of an index


def _deskdrop(path: Path) -> None:
    """In no order of time; ids are signed numbers of 64 bits; a row comes twice; browsers have commas, or are empty."""
    rng = random.Random(2)
    people = ["-8845298781299428018", "-1032019229384696495", "3609194402293569455", "9223372036854775807"]
    rows = []
    for number in range(60):
        person = rng.choice(people)
        known = rng.random() < 0.8
        rows.append(
            {
                "timestamp": str(1_465_413_032 + rng.choice([0, 60, 1_800, 90_000]) * rng.randrange(4) - number),
                "eventType": rng.choice(["VIEW", "VIEW", "VIEW", "LIKE", "BOOKMARK", "FOLLOW", "COMMENT CREATED"]),
                "contentId": str(rng.randrange(-(2**63), 2**63)),
                "personId": person,
                "sessionId": f"{person[-3:]}{rng.randrange(2)}",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)" if known else "",
                "userRegion": rng.choice(["NY", "?", "49"]) if known else "",
                "userCountry": "US" if known else "",
            }
        )
    pd.DataFrame([*rows, rows[7]]).to_csv(path, index=False)


def _eshop(path: Path) -> None:
    """Separated by semicolons; the day in three columns, no clock, the number of each click; names with brackets."""
    rows = [
        {
            **{"year": 2008, "month": 4 + session % 5, "day": 1 + session, "order": order, "country": 29},
            **{"session ID": session, "page 1 (main category)": 1 + order % 4, "page 2 (clothing model)": f"A{order}"},
            **{"colour": 1, "location": 5, "model photography": 1, "price": 28, "price 2": 2, "page": 1},
        }
        for session in range(1, 13)
        for order in range(1, 2 + session * 7 % 11)
    ]
    pd.DataFrame(rows).to_csv(path, index=False, sep=";")


def _online_retail(path: Path) -> None:
    """Several lines per invoice, some of two minutes; a quarter without customer; customers look like floats."""
    rng = random.Random(3)
    rows = []
    for number in range(16):
        invoice = f"C{536_365 + number}" if number % 5 == 4 else f"A{563_185}" if number == 3 else str(536_365 + number)
        customer = "" if number % 4 == 3 else f"{17_850 + number % 3}.0"
        for line in range(rng.randrange(1, 6)):
            rows.append(
                {
                    "InvoiceNo": invoice,
                    "StockCode": rng.choice(["85123A", "71053", "POST"]),
                    "Description": rng.choice(['DOORMAT "NEW ENGLAND", BLUE', "", "?", "wrongly marked. 23343 in box"]),
                    "Quantity": str(-6 if invoice[0] == "C" else 6),
                    "InvoiceDate": f"2010-12-{1 + number:02d} 08:{26 + (line > 2)}:00",
                    "UnitPrice": "2.55",
                    "CustomerID": customer,
                    "Country": "United Kingdom",
                }
            )
    pd.DataFrame(rows).to_csv(path, index=False)


SMALL: Mapping[str, Callable[[Path], None]] = {
    "trivago-half.parquet": _trivago,
    "deskdrop.csv.gz": _deskdrop,
    "eshop-clothing-2008.csv.gz": _eshop,
    "uci-online-retail.csv.gz": _online_retail,
}
"""What writes a small file of each name."""
