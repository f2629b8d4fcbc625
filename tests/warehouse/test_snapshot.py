"""From the rows of the store to the rows of a snapshot."""

from __future__ import annotations

from segmenter.events.sharding import shard_of
from segmenter.model import census
from segmenter.operations.snapshot import shard_cuts, user_row
from segmenter.settings import Settings
from segmenter.shards.row import Row
from segmenter.shards.state import Counts, ShardState
from segmenter.warehouse import Cut
from tests.defaults import USER_COLUMNS

SETTINGS = Settings(partitions=2)


def state(offsets: dict[str, int] | None, ids: dict[str, str]) -> ShardState:
    return ShardState("token", 3, 3, offsets, ids, census.decode(b"{}"), Counts(), 1, 0, 0, 0)


def test_a_shards_cut_is_its_next_offset_or_nothing() -> None:
    shards = {
        0: state({"clickstream": 7, "searches": 0, "views": 9}, {"clickstream": "c", "views": "v"}),
        1: state(None, {}),
    }
    cuts = shard_cuts(shards, SETTINGS)
    assert cuts == {
        ("clickstream", 0): Cut("c", 7),
        ("searches", 0): Cut(None, 0),
        ("views", 0): Cut("v", 9),
        **{(topic, 1): Cut(None, 0) for topic in ("clickstream", "searches", "views")},
    }
    assert shard_cuts({}, SETTINGS).keys() == cuts.keys()


def test_a_users_cut_is_the_greater_of_the_shards_and_the_rows() -> None:
    part = shard_of(b"u42", 2)
    cuts = {(topic, part): Cut("t", 10) for topic in ("clickstream", "searches", "views")}
    profile = (3, 2, 500, 0, 1, 0, 0, 11, 12)
    row = Row(b"u42", "highly_engaged", 4, profile, {"clickstream": 9, "views": 10}, (1, 2, 3, -1))
    named = dict(zip(USER_COLUMNS, user_row(row, cuts, SETTINGS), strict=True))
    assert (named["cut_clickstream"], named["cut_searches"], named["cut_views"]) == (10, 10, 11)
    assert (named["user_id"], named["part"], named["segment"], named["generation"]) == (
        b"u42",
        part,
        "highly_engaged",
        4,
    )
    assert (named["clicks"], named["last_ms"]) == (3, 12)
    assert (named["total_clicks"], named["mean_click_ms"], named["mean_view_ms"]) == (3, 250.0, None)
