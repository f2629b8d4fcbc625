"""A name that is set by hand: it is the current one, or whoever sets it is told that it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from consumers.trainer import refit
from segmenter.errors import UsageError
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.store.connection import Redis, Store, connect
from segmenter.store.models import publish, read_model
from tests.loop.helpers import START_MS
from tests.loop.population import crowd, put


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Of users who have no segments yet."""
    with closing(connect(settings)) as client:
        put(made := Store(client, settings), crowd(range(90)))
        yield made


def name_of(store: Store, slug: str) -> str:
    model = read_model(*store)
    assert model is not None
    return next(segment.name for segment in model.segments if segment.slug == slug)


def test_a_name_that_another_generation_forestalls_is_not_called_set(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there are segments, none can have a name. A generation that comes meanwhile does not know of the name."""
    slug = store.settings.segments[0]
    with pytest.raises(UsageError, match="no segments yet"):
        refit.rename(store.settings, slug, "Fans", START_MS)
    assert refit.refit(store, START_MS)
    before = name_of(store, slug)

    def forestalled(client: Redis, settings: Settings) -> Generation | None:
        found = read_model(client, settings)
        assert found is not None
        assert publish(client, settings, msgspec.structs.replace(found, number=found.number + 1), found)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(refit, "read_model", forestalled)
        with pytest.raises(UsageError, match="try again"):
            refit.rename(store.settings, slug, "Fans", START_MS)
    assert name_of(store, slug) == before
    refit.rename(store.settings, slug, "Fans", START_MS)
    assert name_of(store, slug) == "Fans"
