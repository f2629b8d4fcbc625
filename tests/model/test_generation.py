"""A generation is the bytes that it was stored as."""

from __future__ import annotations

import hashlib
import json

import pytest

from segmenter.model.generation import Generation, Segment, digest, name_of, slugs_of

MODEL = Generation(
    number=2,
    cause="refit",
    features=("a",),
    centres=((0.1,), (7.0,)),
    segments=(Segment(4, "low", "Low"), Segment(1, "high", "Our fans")),
    scale=(1.5,),
    fill=(0.0,),
    population=300,
    fitted_population=299,
    created_ms=5,
)


@pytest.mark.parametrize("more", [{}, {"of a later version": [1.5, None]}])
def test_its_digest_is_of_the_bytes_that_were_stored(more: dict[str, object]) -> None:
    """Whatever this version would have written in their place: another order, other fields."""
    stored = json.dumps(more | dict(reversed(json.loads(MODEL.encode()).items())), indent=1).encode()
    found = Generation.decode(stored)
    assert found == MODEL
    assert found.encode() == stored != MODEL.encode()
    assert digest(found) == hashlib.sha256(stored).hexdigest() != digest(MODEL)


def test_one_that_was_made_is_its_json() -> None:
    assert Generation.decode(MODEL.encode()) == MODEL
    assert json.loads(MODEL.encode())["segments"][1] == {"id": 1, "slug": "high", "name": "Our fans"}
    assert digest(MODEL) == hashlib.sha256(MODEL.encode()).hexdigest()


def test_a_model_of_fewer_than_300_users_is_provisional() -> None:
    found = Generation.decode(MODEL.encode().replace(b'"fitted_population":299', b'"fitted_population":300'))
    assert (MODEL.provisional, found.provisional) == (True, False)


def test_segments_are_named_by_the_place_of_their_centre() -> None:
    assert MODEL.slugs == ("low", "high") and slugs_of(MODEL, [1, 1, 0]) == ["high", "high", "low"]
    assert [name_of(slug) for slug in ("low", "very_low_a", "ÄB_c")] == ["Low", "Very low a", "Äb c"]


def test_what_is_no_generation_is_refused() -> None:
    with pytest.raises(ValueError, match="missing required field"):
        Generation.decode(b"{}")
