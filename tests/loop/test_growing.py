"""A running worker finds segments early, refits them as users come, and tries again later what has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

import msgspec
import numpy as np
from structlog.testing import capture_logs

from consumers import worker
from consumers.trainer.refit import refit, step
from consumers.trainer.trainer import PAUSE_SECONDS, Trainer
from segmenter.events import Event
from segmenter.model.generation import Generation
from segmenter.settings import Settings
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish as publish_model
from segmenter.store.models import read_model
from segmenter.store.shards import read_shards
from tests.defaults import FIELDS
from tests.loop.helpers import START_MS, publish, rows
from tests.loop.population import crowd, put, sweep_all
from tests.threads import Threads

Until = Callable[[Callable[[], object]], None]


def clicks_of(users: Iterable[tuple[int, int]]) -> list[Event]:
    """Events of these users, given by number and how many clicks they make."""
    return [Event(f"u{user}", START_MS + n) for user, clicks in users for n in range(clicks)]


def publish_clicks(settings: Settings, users: Iterable[tuple[int, int]]) -> None:
    publish(settings, "clickstream", clicks_of(users))


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """A worker that looks for better models."""
    stop = threading.Event()
    with Threads() as pool, ExitStack() as at_end:
        at_end.callback(stop.set)
        future = pool.submit(worker.run, settings, once=False, stopping=stop.is_set)
        yield
        stop.set()
        future.result()


def current(settings: Settings) -> Generation | None:
    with closing(connect(settings)) as client:
        return read_model(client, settings)


def mean_clicks(settings: Settings, generation: Generation) -> list[float]:
    """Of each segment's users, in the order of the generation."""
    clicks: dict[str, list[int]] = {slug: [] for slug in generation.slugs}
    for row in rows(settings).values():
        clicks[row.segment].append(row.profile[FIELDS.index("clicks")])
    return [float(np.mean(mine)) for mine in clicks.values()]


def test_a_site_that_grows(settings: Settings, until: Until) -> None:
    """One user with 200 clicks comes first, and 399 with 1 to 20; at 12 and at 400 of them the names are true."""
    random = np.random.default_rng(1)
    users = list(enumerate([200, *random.integers(1, 21, 399).tolist()]))

    def settled() -> bool:
        model = current(settings)
        return model is not None and {row.generation for row in rows(settings).values()} == {model.number}

    with running(settings):
        publish_clicks(settings, users[:12])
        until(settled)
        early = current(settings)
        assert early is not None and early.provisional
        assert (early.cause, early.fitted_population) == ("bootstrap", 12)
        assert early.slugs == settings.segments
        assert mean_clicks(settings, early) == sorted(mean_clicks(settings, early))

        publish_clicks(settings, users[12:])
        until(lambda: (model := current(settings)) and not model.provisional and settled())
        late = current(settings)
        assert late is not None
        assert late.fitted_population >= 300
        assert mean_clicks(settings, late) == sorted(mean_clicks(settings, late))
        assert rows(settings)[b"u0"].segment == "highly_engaged"
        sizes = [sum(row.segment == slug for row in rows(settings).values()) for slug in late.slugs]
        assert min(sizes) >= 5


def test_a_fit_that_fails_is_told_and_tried_again_after_a_pause(settings: Settings, until: Until) -> None:
    """A model that cannot be read fails the process that fits; once it is gone, the next try succeeds."""
    publish_clicks(settings, [(user, 1 + user % 9) for user in range(40)])
    worker.run(settings, once=True, may_refit=False)
    now = 0.0
    with closing(connect(settings)) as client, capture_logs() as logs:
        trainer = Trainer(Store(client, settings), clock=lambda: now)

        def failures() -> int:
            trainer.advance()
            return len([entry for entry in logs if entry["event"] == "a refit failed"])

        client.set(Keys(settings.key_prefix).model(), "no hash")
        until(lambda: failures() == 1)
        for _ in range(50):
            assert failures() == 1 and trainer.idle

        now += PAUSE_SECONDS
        until(lambda: failures() == 2)
        client.delete(Keys(settings.key_prefix).model())
        now += PAUSE_SECONDS
        until(lambda: failures() == 2 and (trainer.refresh() or trainer.generation) and trainer.idle)
        trainer.stop()
    assert [entry["exit_code"] for entry in logs if entry["event"] == "a refit failed"] == [1, 1]


def test_a_provisional_model_takes_only_the_steps_that_put_its_slugs_in_order(settings: Settings) -> None:
    """It is soon refitted, but only if more users come; what those who are there do must not turn its names round."""
    with closing(connect(settings)) as client:
        store = Store(client, settings)
        put(store, crowd(range(60)))
        assert refit(store, 0)
        fitted = current(settings)
        assert fitted is not None and fitted.provisional
        aside = tuple([(clicks + 200_000, *others) for clicks, *others in fitted.centres])
        better = msgspec.structs.replace(fitted, number=2, centres=aside)
        assert publish_model(client, settings, better, fitted)
        sweep_all(store)
        assert not step(store, read_shards(*store), better, 0)
        turned = msgspec.structs.replace(better, number=3, centres=aside[::-1])
        assert publish_model(client, settings, turned, better)
        sweep_all(store)
        assert step(store, read_shards(*store), turned, 0)
        sweep_all(store)
    found = current(settings)
    assert found is not None and (found.number, found.cause, found.slugs) == (4, "step", fitted.slugs)
    assert mean_clicks(settings, found) == sorted(mean_clicks(settings, found))


def test_a_fit_that_finds_nothing_better_is_not_repeated(settings: Settings, until: Until) -> None:
    """Only when there are half as many users more."""
    publish_clicks(settings, [(user, 1 + user % 9) for user in range(40)])
    worker.run(settings, once=True)
    with closing(connect(settings)) as client:
        trainer = Trainer(Store(client, settings))
        trainer.refresh()
        for _ in range(20):
            trainer.advance()
            assert trainer.idle
        publish_clicks(settings, [(user, 1 + user % 9) for user in range(40, 60)])
        worker.run(settings, once=True, may_refit=False)
        trainer.advance()
        assert not trainer.idle
        until(lambda: trainer.idle)
        for _ in range(20):
            trainer.advance()
            assert trainer.idle
        trainer.stop()
