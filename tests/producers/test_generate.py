"""Synthetic events: reproducible, exactly as many as asked, and with a truth that can be found again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import cast

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from producers.messages import Message
from producers.synthetic.generator import START_MS, generate
from producers.synthetic.personas import personas
from segmenter.events import REASONS, Event, InvalidRecord, Rules, decode
from segmenter.events.sharding import shard_of
from tests.defaults import TOPICS, kind_of

EVENTS, USERS, SEED = 30_000, 1_000, 7
RULES = Rules(partitions=4)


def verdict(message: Message) -> Event | InvalidRecord:
    key, kind = message.key, kind_of(message.topic)
    return decode(message.value, key, kind, shard_of(key, 4), START_MS + 10 * 86_400_000, RULES)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """All events as a table, in the order in which they are published."""
    published = [
        {"kind": TOPICS[message.topic], **msgspec.json.decode(cast(bytes, message.value))}
        for message in generate(EVENTS, USERS, SEED)
    ]
    table = pd.DataFrame(published)
    return table.assign(segment=table["user_id"].map(truth("segment")), persona=table["user_id"].map(truth("name")))


def truth(field: str) -> dict[str, str]:
    return {user: getattr(persona, field) for user, persona in personas(USERS, SEED).items()}


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "import hashlib; from producers.synthetic.generator import generate;"
        "print(hashlib.sha256(repr(list(generate(2000, 100, 7, invalid=20))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "1", "4242")
    }
    here = hashlib.sha256(repr(list(generate(2000, 100, 7, invalid=20))).encode()).hexdigest()
    assert digests == {here}


def test_another_seed_gives_other_events() -> None:
    assert list(generate(100, 10, 1)) != list(generate(100, 10, 2))


@pytest.mark.parametrize(
    ("events", "users", "broken"), [(0, 5, 0), (0, 5, 3), (3, 50, 0), (500, 1, 40), (999, 100, 26)]
)
def test_exactly_as_many_as_asked(events: int, users: int, broken: int) -> None:
    verdicts = [verdict(message) for message in generate(events, users, 1, invalid=broken)]
    good = [each for each in verdicts if isinstance(each, Event)]
    assert (len(good), len(verdicts) - len(good)) == (events, broken)
    assert len({each.event_id for each in good}) == events
    assert len({each.user_id for each in good}) == min(events, users)


def test_invalid_are_of_every_sort() -> None:
    refused = [each for each in map(verdict, generate(100, 10, 1, invalid=24)) if isinstance(each, InvalidRecord)]
    assert {each.reason for each in refused} == REASONS.keys() - {"wrong_partition"}
    assert len({each.detail for each in refused}) == 12


def test_invalid_do_not_change_the_good_ones() -> None:
    mixed = [message for message in generate(300, 10, 1, invalid=30) if isinstance(verdict(message), Event)]
    assert mixed == list(generate(300, 10, 1))


def test_k_means_finds_the_personas_again(frame: pd.DataFrame) -> None:
    users = frame.groupby("user_id")
    means = frame.pivot_table(index="user_id", columns="kind", values="duration_ms", aggfunc="mean")
    counts = frame.pivot_table(index="user_id", columns="kind", aggfunc="size", fill_value=0)
    vectors = pd.concat([counts[["click", "search"]], means[["click", "view"]]], axis=1).transform(np.log1p)
    filled = vectors.fillna(vectors.mean()).to_numpy()
    found = KMeans(3, n_init=5, random_state=0).fit_predict((filled - filled.mean(0)) / filled.std(0))
    assert adjusted_rand_score(users["segment"].first(), found) > 0.9


def test_few_users_do_most(frame: pd.DataFrame) -> None:
    counts = frame["user_id"].value_counts()
    assert counts.head(USERS // 100).sum() > 0.05 * EVENTS
    assert counts.max() > 20 * counts.median()


def test_some_never_search_and_some_never_view(frame: pd.DataFrame) -> None:
    did = frame.groupby("persona")["kind"].agg(set)
    assert did["bouncer"] == {"click"}
    assert did["hunter"] == {"click", "search"}
    assert did["reader"] == {"click", "search", "view"}


def test_some_events_are_out_of_order_but_most_are_not(frame: pd.DataFrame) -> None:
    late = (frame["time_ms"].diff() < 0).mean()
    assert 0.005 < late < 0.05
    assert frame.groupby("user_id")["time_ms"].agg(lambda times: not times.is_monotonic_increasing).any()


def test_evenings_are_busier_than_nights(frame: pd.DataFrame) -> None:
    hours = frame["time_ms"] // 3_600_000 % 24
    assert hours.between(18, 21).sum() > 4 * hours.between(1, 4).sum()


def test_a_session_belongs_to_one_user_and_begins_with_a_referrer(frame: pd.DataFrame) -> None:
    sessions = frame.sort_values("time_ms").groupby("session_id")
    assert (sessions["user_id"].nunique() == 1).all()
    assert (sessions["referrer"].count() == 1).all()
    assert sessions.head(1)["referrer"].notna().all()


def test_times_lie_within_the_days_asked_for() -> None:
    times = [cast(Event, verdict(message)).time_ms for message in generate(5_000, 200, 3, days=3)]
    assert min(times) >= START_MS
    assert pd.Series(times).quantile(0.99) < START_MS + 3 * 86_400_000


def test_no_two_events_have_the_same_id_however_many_there_are(frame: pd.DataFrame) -> None:
    """A repeated id would count once."""
    assert len(frame) == EVENTS and frame["event_id"].is_unique
