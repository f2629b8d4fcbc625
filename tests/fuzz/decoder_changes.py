"""One change to the decoder's input that keeps most of it a list of events."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from tests.fuzz.decoder import FIELDS, SEPARATOR

NAMES = [f'"{name}"'.encode() for name in FIELDS] + [b'"x"', b'"\xff"', b'"us\\u0065r_id"']
TEXTS = [
    *(b"x" * length for length in (0, 1, 128, 129, 512, 513, 4_090, 8_192, 8_193)),
    *("🦉".encode() * length for length in (128, 129)),
    *(
        b"u1",
        b"u2",
        b"Bob",
        b"bob",
        b"bob ",
        b"007",
        b"e1",
        b"EUR",
        b"USD",
        b"{a}:b'c",
        b"=1+1",
        b"\\u0000",
        b"\\n",
        b"\\\\",
        b'\\"',
    ),
    *(b"\\ud800", b"\\ud83d\\ude00", b"\xff", b"\xed\xa0\x80", b"\x01", b"\x00", b"\\q", b"[{", b"\xe2\x80\xa8"),
]
NUMBERS = b"0 -0 -1 1 5 01 1.0 1e3 1.5 1e999 NaN 86400000 86400001 253402300799999 253402300800000 1000 1001".split()
NUMBERS += b"-500 1000000000000 1000000000001 -1000000000000 -1000000000001".split()
NUMBERS += [str(2**63).encode(), b"9" * 5_000]
OTHERS = [b"null", b"true", b"[]", b"{}", b'{"a":1}', b'{"a":"\xff"}', b"[1", b"", b"[" * 62 + b"]" * 62, b"[" * 9_000]
OTHERS += [b'{"a":"' + b"x" * length + b'"}' for length in (4_088, 4_089)]
VALUES = [b'"' + text + b'"' for text in TEXTS] + NUMBERS + OTHERS
MARKS = [b"null", b"nokey", b"elsewhere", b"key ", b"key u1", b"key \xff", b"key " + b"k" * 5_000]
MARKS += [
    b"%s %d" % (name, number) for name in (b"topic", b"gap", b"time") for number in (1, 2, 3, 4, -(10**17), 10**17)
]
MOST_RECORDS = 6


def change(data: bytes, size: int, seed: int, bytewise: Callable[[bytes, int], bytes]) -> bytes:
    """``data`` changed in one place, at most ``size`` long. The same arguments give the same change."""
    random = Random(seed)
    texts = data.split(SEPARATOR)
    at = random.randrange(len(texts))
    what = random.randrange(10)
    if what == 0:
        return bytewise(data, size)
    if what == 1:
        texts[at] = bytewise(texts[at], size)
    elif what == 2:
        texts.insert(random.randrange(len(texts) + 1), texts[at])
    elif what == 3:
        del texts[at]
    elif what == 4:
        texts[at] += b"\n@" + random.choice(MARKS)
    else:
        texts[at] = with_field(texts[at], random)
    return SEPARATOR.join(texts[:MOST_RECORDS])[:size]


def with_field(text: bytes, random: Random) -> bytes:
    """The record's event with another value in one of its fields; a small event if it held none."""
    value, *marks = text.split(b"\n@")
    try:
        fields = {b'"%s"' % name.encode(): json.dumps(each).encode() for name, each in json.loads(value).items()}
    except (ValueError, RecursionError, AttributeError):
        fields = {b'"user_id"': b'"u1"', b'"time_ms"': b"5"}
    fields[random.choice(NAMES)] = random.choice(VALUES)
    return b"\n@".join([b"{" + b",".join(b"%s:%s" % field for field in fields.items()) + b"}", *marks])
