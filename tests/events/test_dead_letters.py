"""A dead letter keeps what is needed to find, read and correct the record."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.events import InvalidRecord
from segmenter.events.dead_letters import decode, describe, encode, letter_key

INVALID = InvalidRecord("malformed", "not an object")


def published(value: bytes | None, key: bytes | None = b"u42") -> dict[str, Any]:
    """What the JSON of the dead letter says."""
    found: dict[str, Any] = json.loads(encode(describe("views", 2, 1017, 99, key, value, INVALID)))
    return found


def test_it_says_where_and_why() -> None:
    found = published(b"[]")
    assert found == {
        "topic": "views",
        "partition": 2,
        "offset": 1017,
        "reason": "malformed",
        "detail": "not an object",
        "timestamp_ms": 99,
        "length": 2,
        "key": "u42",
        "value": "[]",
    }


def test_the_key_of_a_dead_letter_is_its_place() -> None:
    assert letter_key(describe("views", 2, 1017, 99, None, None, INVALID)) == b"views:2:1017"


def test_no_value_is_not_an_empty_one() -> None:
    """Nor is no key."""
    assert {"value", "value_base64", "sha256", "key"}.isdisjoint(published(None, None))
    assert published(None)["length"] == 0
    assert (published(b"", b"")["value"], published(b"", b"")["key"]) == ("", "")


@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)))
def test_a_small_value_is_kept_whole(value: bytes) -> None:
    """As text if it is text, else as Base64; one of the two."""
    found = published(value)
    if "value" in found:
        assert found["value"].encode() == value and "value_base64" not in found
    else:
        assert base64.b64decode(found["value_base64"]) == value
        with pytest.raises(UnicodeDecodeError):
            value.decode()
    assert "sha256" not in found and found["length"] == len(value)


@pytest.mark.parametrize("character", ["x", "ü", "€", "🦉"])
@pytest.mark.parametrize("size", [4_095, 4_096, 4_097, 8_000])
def test_of_a_larger_value_the_beginning_is_kept_and_what_tells_the_whole(character: str, size: int) -> None:
    """A character that the cut would divide is left out."""
    value = ("a" + character * size).encode()[: size - size % len(character.encode()) + 1]
    found = published(value)
    text = value.decode()
    while len(text.encode()) > 4_096:
        text = text[:-1]
    assert found["value"] == text and found["length"] == len(value)
    assert ("sha256" in found) == (len(value) > 4_096)


def test_the_digest_is_that_of_the_whole_value() -> None:
    value = bytes(range(256)) * 17
    found = published(value)
    assert found["sha256"] == hashlib.sha256(value).hexdigest()
    assert base64.b64decode(found["value_base64"]) == value[:4_096]


def test_a_value_that_is_text_only_at_its_beginning_is_not_text() -> None:
    assert "value" not in published(b"x" * 5_000 + b"\xff")


def test_a_key_that_is_not_text_is_escaped_and_a_long_one_cut() -> None:
    assert published(b"", b"a\xff\xfe")["key"] == "a\\xff\\xfe"
    assert published(b"", b"k" * 5_000)["key"] == "k" * 4_096


@given(st.one_of(st.none(), st.binary(max_size=40)), st.one_of(st.none(), st.binary(max_size=40)))
def test_a_dead_letter_survives_its_encoding(key: bytes | None, value: bytes | None) -> None:
    letter = describe("searches", 0, 5, 7, key, value, INVALID)
    assert decode(encode(letter)) == letter
