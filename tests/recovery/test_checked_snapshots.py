"""`snapshot --reconcile`: each snapshot is compared with the batch, and the exit code says whether all are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from subprocess import CompletedProcess

import pytest

from consumers import sink, worker
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.errors import UsageError
from segmenter.model.profiles import encode, fields
from segmenter.operations import schedule
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from tests import verbs
from tests.loop.helpers import rows

EQUAL = {"compared": 40, "differing": 0, "missing": 0, "extra": 0}


@contextmanager
def spoilt(settings: Settings) -> Iterator[None]:
    """One user's profile in Redis has a click too many."""
    names = fields(settings.kinds)
    user, row = next((user, row) for user, row in rows(settings).items() if row.profile[0])
    key = Keys(settings.key_prefix).user(user)
    with closing(connect(settings)) as client:
        client.hset(key, "profile", encode((row.profile[0] + 1, *row.profile[1:]), names))
        yield
        client.hset(key, "profile", encode(row.profile, names))


def test_each_is_compared_and_the_exit_code_tells(settings: Settings, environment: dict[str, str]) -> None:
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)
    sink.run(settings, once=True)

    def run(*words: str) -> CompletedProcess[str]:
        return verbs.run("snapshot", *words, environment=environment)

    plain = run("--json")
    assert json.loads(plain.stdout)["reconcile"] is None
    done = run("--reconcile", "--json")
    assert done.returncode == 0
    assert EQUAL.items() <= json.loads(done.stdout)["reconcile"].items()
    with spoilt(settings):
        done = run("--reconcile")
    assert done.returncode == 1
    assert "STREAM AND BATCH DIFFER: compared 40, differing 1, missing 0, extra 0" in done.stdout
    done = run("--every", "15 minutes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--every is '15 minutes'; allowed: at least a second, such as 900, 90s, 15m or 1h." in done.stderr


def test_a_schedule_goes_on_after_one_that_differs_or_that_the_sink_has_not_come_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "WAIT_SECONDS", 0)
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)
    behind, differing, equal = [], [], []
    with ExitStack() as lasting:
        for done in schedule.take_every(0, settings, 2, lambda: bool(equal), check=True):
            if done.unknown:
                behind.append(done)
                sink.run(settings, once=True)
                lasting.enter_context(spoilt(settings))
            elif done.holds:
                equal.append(done)
            else:
                differing.append(done)
                lasting.close()
    assert [len(behind), len(differing), len(equal)] == [1, 1, 1]
    assert "warehouse behind: snapshot 1 needs topic" in str(behind[0].unknown)
    assert behind[0].verdict is None and not behind[0].holds


def test_a_comparison_that_fails_ends_no_schedule(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a kind is added, or when somebody removes the snapshot meanwhile: it has been taken all the same."""
    publish(settings, generate(300, 40, seed=1))
    worker.run(settings, once=True)

    def fails(*arguments: object, **options: object) -> None:
        raise UsageError("the warehouse holds no snapshot 1, only 2 to 2.")

    monkeypatch.setattr(schedule, "reconcile", fails)
    (done,) = islice(schedule.take_every(0, settings, None, lambda: False, check=True), 1)
    assert (done.taken.snapshot.users, done.holds) == (40, False)
    assert done.unknown == "the warehouse holds no snapshot 1, only 2 to 2."
