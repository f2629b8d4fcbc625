"""Times and durations are read from text exactly."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.recorded import times


@given(st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=5))
def test_seconds_equal_exact_decimal_arithmetic(number: Decimal) -> None:
    text = format(number, "f")
    assert times.seconds(text) == int((number * 1_000).to_integral_value(ROUND_FLOOR))
    assert times.milliseconds(text) == int(number.to_integral_value(ROUND_FLOOR))


@pytest.mark.parametrize(
    "text", ["", " 1", "1_000", "-1", "+1", "1e3", "nan", "inf", "1,5", "٣", "1" * 16, "0x1", ".5"]
)
@pytest.mark.parametrize("read", [times.seconds, times.milliseconds])
def test_what_is_not_a_plain_number_is_refused(read: times.Reader, text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        read(text)


@pytest.mark.parametrize(
    "text",
    ["2018-11-07", "2018-11-07T13:05:08", "2018-11-07 13:05:08.123456", "2018-11-07T13:05:08+05:30", "1969-12-31"],
)
def test_iso_times_equal_what_pandas_reads(text: str) -> None:
    assert times.iso(text) == pd.Timestamp(pd.to_datetime(text, utc=True)).as_unit("ns").value // 1_000_000


def test_a_pattern_may_carry_its_own_zone() -> None:
    read = times.reader("%d/%m/%Y %H:%M %z")
    assert read("07/11/2018 13:05 +0100") == 1_541_592_300_000
    assert read("07/11/2018 12:05 +0000") == times.reader("%d/%m/%Y %H:%M")("07/11/2018 12:05") == 1_541_592_300_000


@pytest.mark.parametrize(
    ("format", "text", "ms"),
    [("unix_s", "1541592300.5", 1_541_592_300_500), ("unix_ms", "1541592300.5", 1_541_592_300), ("iso", "1970", None)],
)
def test_a_format_is_known_by_its_name(format: str, text: str, ms: int | None) -> None:
    """Asked again, it answers the same."""
    read = times.reader(format)
    for _ in range(2):
        if ms is None:
            with pytest.raises(ValueError, match="Invalid isoformat"):
                read(text)
        else:
            assert read(text) == ms


def test_what_is_no_number_is_shown_by_its_beginning() -> None:
    with pytest.raises(ValueError, match=f"^'{'x' * 80}' is not a number of 0 or more$"):
        times.milliseconds("x" * 81)


@pytest.mark.parametrize(("text", "ms"), [("5", 5_000), ("5.", 5_000), ("5.1", 5_100), ("5.12", 5_120), ("0.0019", 1)])
def test_fractions_of_a_second_may_have_any_length(text: str, ms: int) -> None:
    assert times.seconds(text) == ms
