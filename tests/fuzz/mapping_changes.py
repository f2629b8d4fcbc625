"""One change to a mapping or its rows that keeps most of them readable."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from random import Random

from tests.fuzz.mapping import GZIPPED, SEPARATOR, SHIPPED

WORDS = b"csv jsonl parquet click search view s ms next_event iso unix_s unix_ms user_id session_id who at did".split()
WORDS += b"purchase social major minor".split()
WORDS += b"utf-8 utf-16 latin-1 utf-7 cp1252 idna punycode unicode_escape undefined rot13 hex utf-8-sig".split()
WORDS += [b"%Y-%m-%d", b"%d %d", b"%s", b"%", b"%Q", b"%j %G", b"%c", b"%H:%M:%S %z", b"", b",", b";", b"\\t", b"\\n"]
WORDS += [b"utf\\u0000", b'\\"', b"\\u0000", b"\xc3\xbc", b"\xf0\x9f\xa6\x89", b"\\u2028"]
VALUES = [b'"' + word + b'"' for word in WORDS]
VALUES += b'0 1 -1 1000 1800 86400 86401 1.5 nan true [] {} ["at","did"] [1] {"x"="click"} {"a\\nb"="view"}'.split()
VALUES += [b"9" * 19, b"9" * 30, b"9" * 4_299, b"9" * 5_000, b"0x" + b"f" * 5_000, b"2026-01-05", b"["]
KEYS = b"format separator encoding one_per columns constants properties time kind duration column order step_ms".split()
KEYS += b"default values unit derive cap_s user_id event_id session_id device url referrer item_id query".split()
KEYS += b"amount times sum".split()
TABLES = b"[columns] [constants] [properties] [time] [kind] [kind.values] [duration] [amount] [x] [[time]]".split()
CELLS = b"u1 u2 Bob 007 17850.0 0 5 -5 1541595108 1541595108.25 999999999999999 1e5 nan null click view LIKE s1".split()
CELLS += b"-12.50 0.005 7.".split()
CELLS += [b"", b'"', b'""', b'"a,b"', b'"a\nb"', b"\xff", b"\x00", b"\r", b"\\", b"x" * 600, b"\xf0\x9f\xa6\x89" * 130]
CELLS += [
    b"2026-01-05T01:00:00+01:00",
    b"2011-12-09 12:50:00",
    b"9999-12-31",
    b"0001-01-01",
    b"2008",
    b"13",
    b"{}",
    b"[1]",
]
CELLS += [b'"\\ud800"', b'{"who":"u1","at":5}', b"[" * 900, b"\xef\xbb\xbf", b" "]
MOST_LINES = 8

FITTING = [
    (
        b"@completejourney-transactions",
        b"household_id,store_id,basket_id,product_id,quantity,sales_value,week,transaction_timestamp",
        b"900,330,31198570044,1095275,1,0.5,1,2017-01-01 11:53:26",
    ),
    (
        b"@deskdrop",
        b"personId,sessionId,contentId,userAgent,eventType,userRegion,userCountry,timestamp",
        b"-8845298781299428018,1264196770339959068,-3499919498720038879,,VIEW,NY,US,1465413032",
    ),
    (
        b"@eshop-clothing-2008",
        b"year;month;day;order;country;session ID;page 1 (main category);page 2 (clothing model);colour;price;price 2",
        b"2008;4;1;1;29;1;1;A13;1;28;2",
    ),
    (
        b"@trivago-half",
        b"user_id,session_id,timestamp,action_type,reference,platform,city,device",
        b"00RL8Z82B2Z1,aff3928535f48,1541037460,search for poi,Newtown,AU,Sydney,mobile",
    ),
    (
        b"@uci-online-retail",
        b"InvoiceNo,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        b"536365,6,2010-12-01 08:26:00,2.55,17850.0,France",
    ),
]
"""The mappings that come with the product, with all their columns and a row."""


def change(data: bytes, size: int, seed: int, bytewise: Callable[[bytes, int], bytes]) -> bytes:
    """``data`` changed in one place, at most ``size`` long. The same arguments give the same change."""
    random = Random(seed)
    text, _, rows = data.partition(SEPARATOR)
    what = random.randrange(40)
    if what == 0:
        return bytewise(data, size)
    if what == 1:
        rows = pressed(rows)
    elif what <= 4:
        rows = bytewise(rows, size)
    elif what <= 9:
        text = mapping_changed(SHIPPED.get(text, text), random)
    elif what <= 19:
        text, rows = fitting(rows, random)
    else:
        rows = rows_changed(rows, random)
    return (text + SEPARATOR + rows)[:size]


def fitting(rows: bytes, random: Random) -> tuple[bytes, bytes]:
    """A mapping that comes with the product, and the rows with as many cells as it wants, under a row that is right."""
    text, header, right = random.choice(FITTING)
    separator = b";" if b";" in header else b","
    many = header.count(separator) + 1
    lines = [(re.split(b"[,;]", line) * many)[:many] for line in rows.split(b"\n")[1:]]
    return text, b"\n".join([header, right, *(separator.join(cells) for cells in lines)])


def pressed(rows: bytes) -> bytes:
    """The rows gzipped, or no longer so."""
    if not rows.startswith(GZIPPED):
        return gzip.compress(rows, mtime=0)
    try:
        return gzip.decompress(rows)
    except (OSError, EOFError, zlib.error):
        return rows[2:]


def mapping_changed(text: bytes, random: Random) -> bytes:
    """The TOML with a line gone, doubled, new, or of another value."""
    lines = text.split(b"\n")
    at = random.randrange(len(lines))
    what = random.randrange(6)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(random.randrange(len(lines)), lines[at])
    elif what == 2:
        lines.insert(at, random.choice(TABLES))
    elif what == 3:
        lines.insert(at, random.choice(KEYS) + b" = " + random.choice(VALUES))
    else:
        lines[at] = lines[at].partition(b"=")[0] + b"= " + random.choice(VALUES)
    return b"\n".join(lines)


def rows_changed(rows: bytes, random: Random) -> bytes:
    """The rows with one gone, doubled, or of another cell; seldom the header."""
    lines = rows.split(b"\n")
    at = max(random.randrange(len(lines)), random.randrange(len(lines)))
    what = random.randrange(6)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(random.randrange(len(lines) + 1), lines[at])
    else:
        cells = re.split(rb"([,;:])", lines[at])
        cells[random.randrange(0, len(cells), 2)] = random.choice(CELLS)
        lines[at] = b"".join(cells)
    return b"\n".join(lines[:MOST_LINES])
