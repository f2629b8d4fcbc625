"""The live store against plain pandas over the very events that were published, and against scikit-learn."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from consumers import worker
from producers.messages import Message
from producers.publish import publish
from producers.synthetic.generator import generate
from segmenter.settings import Settings
from tests.chaos.events import aggregates
from tests.defaults import FIELDS
from tests.loop.helpers import rows

EVENTS, USERS = 6_000, 400


@pytest.fixture
def messages() -> list[Message]:
    return list(generate(EVENTS, USERS, seed=3))


def table(messages: list[Message]) -> pd.DataFrame:
    """The published bytes as a table, a repeated event id once."""
    read = [{"topic": message.topic, **msgspec.json.decode(message.value)} for message in messages if message.value]
    return pd.DataFrame(read).drop_duplicates(["topic", "user_id", "event_id"])


def test_the_store_equals_pandas_to_the_unit(settings: Settings, messages: list[Message]) -> None:
    """Published in two parts, the second overlapping the first, and read by two runs of the worker."""
    publish(settings, messages[:4_000])
    worker.run(settings, once=True)
    publish(settings, messages[3_500:])
    worker.run(settings, once=True)
    expected = aggregates(table(messages))
    found = pd.DataFrame({row.user.decode(): row.profile for row in rows(settings).values()}, index=FIELDS).T
    pd.testing.assert_frame_equal(found.sort_index(), expected, check_names=False)


def test_the_live_model_is_as_good_as_the_batch(settings: Settings, messages: list[Message]) -> None:
    """scikit-learn's K-Means on pandas' own summary has an inertia at most 5 % below that of the live segments."""
    publish(settings, messages)
    worker.run(settings, once=True)
    users = aggregates(table(messages))
    features = pd.DataFrame(
        {
            "clicks": users["clicks"],
            "searches": users["searches"],
            "mean_click_ms": users["click_ms"] / users["clicks_timed"].replace(0, np.nan),
            "mean_view_ms": users["view_ms"] / users["views_timed"].replace(0, np.nan),
        }
    )
    squeezed = np.log1p(features)
    points = StandardScaler().fit_transform(squeezed.fillna(squeezed.mean()))
    batch = KMeans(3, n_init=10, random_state=0).fit(points).inertia_
    live = pd.Series({row.user.decode(): row.segment for row in rows(settings).values()})[users.index]
    segments = pd.DataFrame(points).groupby(live.to_numpy())
    assert segments.ngroups == 3
    assert sum(((part - part.mean()) ** 2).to_numpy().sum() for _, part in segments) * 0.95 <= batch
