"""User ids are bytes; what is shown of one stands for that one alone."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.events import key_of, shown, text_of

IDS = ["u42", "Bob", "a.b@c+d:e-f_g", "bob ", "", "b'x'", 'say "hi"', "bó", "🦉", "a\0b", "a\nb", "a\\b", "x" * 200]


@pytest.mark.parametrize("text", IDS)
def test_a_plain_id_is_shown_as_it_is_and_any_other_as_a_literal_of_it(text: str) -> None:
    said = shown(text.encode())
    if text and set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@:+-"):
        assert said == text
    else:
        assert said[0] in "'\"" and ast.literal_eval(said) == text


@given(st.text())
def test_whatever_is_shown_fits_in_a_line_of_ascii(text: str) -> None:
    said = shown(text.encode(errors="surrogatepass"))
    assert said.isascii() and said.isprintable()


@given(st.binary())
def test_an_id_of_any_bytes_can_be_shown_and_told(user: bytes) -> None:
    """Only an operator meets ids that are not UTF-8: in a store that somebody else has written to."""
    assert shown(user).isascii()
    assert text_of(user).encode().decode() == text_of(user)


def test_bytes_that_are_not_text_are_shown_by_their_number() -> None:
    assert (text_of(b"a\xff"), text_of("bó".encode())) == ("a\\xff", "bó")
    assert shown(b"a\xff") == r"'a\\xff'"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_the_key_is_the_utf_8_of_the_id(text: str) -> None:
    assert key_of(text) == bytes(text, "utf-8") and text_of(key_of(text)) == text
