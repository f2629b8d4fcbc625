"""What commits change in a shard, against rows judged, counted and told one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.errors import Corrupt, SumTooLarge
from segmenter.events import InvalidRecord
from segmenter.kinds import BUILT_IN, DEFAULT
from segmenter.model.census import Census, Tally
from segmenter.model.folding import NO_MEASURE
from segmenter.model.generation import NO_SPACE, UNASSIGNED, Generation, Segment, Space
from segmenter.shards.batches import Applied, Batch
from segmenter.shards.commits import batch_commit, counted, repair_commit, restore_commit, sweep_commit
from segmenter.shards.row import Row
from segmenter.shards.state import UNKNOWN_SHARD, Change, Commit, Counts, ShardState
from tests.defaults import NAMES, TOPICS
from tests.shards.test_any_order import FakeRecord, coordinate

USERS = (b"u1", b"u2", b"u3", b"u4")
UNIT = 2.0**20
Numbers = tuple[int, ...]


def generation(
    number: int, slugs: tuple[str, str], clicks: tuple[int, int], features: tuple[str, ...] = NAMES, since: int = 1
) -> Generation:
    """Two segments about so many clicks; nothing else counts."""
    own = [feature == "total_clicks" for feature in features]
    return Generation(
        number=number,
        cause="step",
        features=features,
        features_since=since,
        centres=tuple([tuple([math.log1p(each) * UNIT * counts for counts in own]) for each in clicks]),
        segments=tuple([Segment(id, slug, slug) for id, slug in enumerate(slugs)]),
        scale=tuple([UNIT if counts else 2.0**60 for counts in own]),
        fill=(0.0,) * len(features),
        population=1,
        fitted_population=1,
        created_ms=0,
    )


MODELS = (
    None,
    generation(1, ("low", "high"), (1, 5)),
    generation(2, ("low", "high"), (0, 2)),
    generation(3, ("high", "low"), (0, 2)),
    generation(4, ("low", "high"), (0, 2), ("mean_view_ms", "total_clicks", "total_views"), since=4),
    generation(5, ("low", "high"), (1, 3), ("mean_view_ms", "total_clicks", "total_views"), since=4),
    generation(6, ("high", "low"), (1, 3), NAMES, since=6),
)
"""Of the last three, two judge by other features, and then one by the first ones again."""


def space_of(model: Generation | None) -> Space:
    return Space(model.features, model.features_since) if model else NO_SPACE


def slug_of(profile: Numbers, model: Generation | None) -> str:
    """The segment of a user with so many clicks."""
    if model is None:
        return "unassigned"
    clicks = model.features.index("total_clicks")
    far = [abs(math.log1p(profile[0]) * UNIT - centre[clicks]) for centre in model.centres]
    return model.segments[far.index(min(far))].slug


def vector_of(profile: Numbers, features: Sequence[str]) -> Numbers:
    clicks, clicks_timed, click_ms, searches, views, views_timed, view_ms = profile[:7]
    named = {
        "total_clicks": coordinate(clicks),
        "total_searches": coordinate(searches),
        "total_views": coordinate(views),
        "mean_click_ms": coordinate(click_ms, clicks_timed),
        "mean_view_ms": coordinate(view_ms, views_timed),
    }
    return tuple(named[feature] for feature in features)


def census_of(rows: Sequence[Row], space: Space) -> Census:
    """Counted from the rows, number by number; of those judged by older features there is only the user."""
    census: Census = {}
    for slug in {row.segment for row in rows}:
        own = [row for row in rows if row.segment == slug]
        judged = [row.vector for row in own if row.generation >= space.since]
        given = [[vector[at] for vector in judged if vector[at] != -1] for at in range(len(space.features))]
        census[slug] = Tally(
            len(own),
            tuple(len(column) for column in given),
            tuple(sum(column) for column in given),
            tuple(sum(number**2 for number in column) for column in given),
        )
    return census


class Shard(NamedTuple):
    """What Redis would hold."""

    rows: dict[bytes, Row]
    state: ShardState

    def after(self, commit: Commit) -> Shard:
        """With a commit written, which must be consistent: census, audiences and vectors are those of the rows."""
        rows = self.rows | {row.user: row for row in commit.rows}
        for removed in commit.removed:
            row = rows.pop(removed.user, None)
            assert (removed.generation, removed.offsets) == ((row.generation, row.offsets) if row else (0, {}))
        audience = {user: row.segment for user, row in self.rows.items()}
        for change in commit.changes:
            assert audience.pop(change.user, None) == change.before != change.after
            if change.after is not None:
                audience[change.user] = change.after
        assert audience == {user: row.segment for user, row in rows.items()}
        assert commit.after.census == census_of(list(rows.values()), commit.after.space)
        for row in commit.rows:
            right = vector_of(row.profile, commit.after.space.features)
            assert all(abs(one - other) <= 1 for one, other in zip(row.vector, right, strict=True))
        return Shard(rows, commit.after)


EMPTY = Shard({}, UNKNOWN_SHARD._replace(token="t", version=7, offsets=dict.fromkeys(TOPICS, 0), feed=3))
profiles = st.tuples(*[st.integers(0, 9)] * 9)
known = st.dictionaries(st.sampled_from(USERS), profiles, max_size=4)
models = st.sampled_from(MODELS)
pairs = st.tuples(models, models).filter(lambda pair: not pair[1] or space_of(pair[0]).since <= space_of(pair[1]).since)
"""The model before, and the one now: who has judged by new features does not go back to older ones."""


def filled(profiles: dict[bytes, Numbers], model: Generation | None) -> Shard:
    """A shard with these users, each after offset 10 of the views."""
    offsets = [{"views": 10} for _ in profiles]
    return EMPTY.after(restore_commit(list(profiles), list(profiles.values()), offsets, EMPTY.state, DEFAULT, model))


@settings(max_examples=60)
@given(known, models)
def test_restored_users_are_rows_judged_by_the_model(profiles: dict[bytes, Numbers], model: Generation | None) -> None:
    """New ones, whose move is told as their own behaviour; nothing else of the shard changes."""
    offsets = [{"views": number} for number in range(len(profiles))]
    commit = restore_commit(list(profiles), list(profiles.values()), offsets, EMPTY.state, DEFAULT, model)
    EMPTY.after(commit)
    number = model.number if model else 0
    assert [(row.user, row.profile, row.segment, row.generation) for row in commit.rows] == [
        (user, profile, slug_of(profile, model), number) for user, profile in profiles.items()
    ]
    assert [row.offsets for row in commit.rows] == offsets
    assert commit.changes == [Change(row.user, None, row.segment, "behaviour") for row in commit.rows]
    assert commit.after._replace(census={}) == EMPTY.state._replace(space=space_of(model)) and commit.removed == ()


@settings(max_examples=60)
@given(known, pairs.filter(lambda pair: pair[1] is not None), st.integers(0, 4))
def test_a_sweep_judges_all_by_the_new_model_and_changes_nothing_else(
    profiles: dict[bytes, Numbers], pair: tuple[Generation | None, Generation], first: int
) -> None:
    """In as many commits as it likes; a vector is another one only if there are other features."""
    before, model = pair
    shard = filled(profiles, before)
    rows = list(shard.rows.values())
    commits, after = [], shard
    for some in (rows[:first], rows[first:]):
        commits.append(sweep_commit(some, after.state, DEFAULT, model))
        after = after.after(commits[-1])
    assert [row.user for commit in commits for row in commit.rows] == list(profiles)
    for user, row in after.rows.items():
        expected = shard.rows[user]._replace(segment=slug_of(profiles[user], model), generation=model.number)
        assert row == (
            expected if before and before.features == model.features else expected._replace(vector=row.vector)
        )
    assert {change.cause for commit in commits for change in commit.changes} <= {"model"}
    assert after.state._replace(census={}) == shard.state._replace(census={}, space=space_of(model))


@settings(max_examples=60)
@given(known, known, st.sets(st.sampled_from(USERS)), pairs)
def test_a_repair_puts_right_what_it_is_told_and_no_other(
    profiles: dict[bytes, Numbers],
    correct: dict[bytes, Numbers],
    gone: set[bytes],
    pair: tuple[Generation | None, Generation | None],
) -> None:
    """Rows replaced or added, rows removed, some of which are not there; every move is told as a repair."""
    before, model = pair
    shard = filled(profiles, before)
    leaving = sorted(gone - correct.keys())
    wanted = {user: (profile, {"searches": 4}) for user, profile in correct.items()}
    present = {user: shard.rows.get(user) for user in (*correct, *leaving)}
    commit = repair_commit(wanted, leaving, present, shard.state, DEFAULT, model)
    after = shard.after(commit)
    assert set(after.rows) == (profiles.keys() | correct.keys()) - set(leaving)
    number = model.number if model else 0
    for user, row in after.rows.items():
        if user in correct:
            judged = slug_of(correct[user], model)
            assert row == Row(user, judged, number, correct[user], {"searches": 4}, row.vector)
        else:
            assert row == shard.rows[user]
    assert {change.cause for change in commit.changes} <= {"repair"}
    assert after.state._replace(census={}) == shard.state._replace(census={}, space=space_of(model))


reasons = st.lists(st.sampled_from("xyz"), max_size=5)
clicks = st.builds(
    Applied, st.integers(0, 2), st.just("clickstream"), st.just(0), st.integers(0, 99), st.integers(0, 9)
)
searches = st.builds(
    Applied, st.integers(0, 2), st.just("searches"), st.just(0), st.integers(0, 99), st.just(NO_MEASURE)
)
applied = clicks | clicks.map(lambda event: event._replace(measure=NO_MEASURE)) | searches


@settings(max_examples=200)
@given(
    known,
    st.lists(applied, max_size=8),
    pairs,
    st.integers(0, 20),
    st.lists(st.sampled_from("xyz")),
    st.data(),
)
def test_a_batch_is_folded_once_and_who_moves_is_told_with_the_cause(
    profiles: dict[bytes, Numbers],
    drawn: list[Applied],
    pair: tuple[Generation | None, Generation | None],
    start: int,
    reasons: list[str],
    data: st.DataObject,
) -> None:
    """Events that a row holds already are skipped, and so is a user who has no other; all are counted as folded."""
    before, model = pair
    shard = filled(profiles, before)
    held = {user: data.draw(st.integers(-1, 25)) for user in USERS}
    rows = {
        user: row._replace(offsets={"clickstream": held[user]} if held[user] >= 0 else {"views": 10})
        for user, row in shard.rows.items()
    }
    shard = Shard(rows, shard.state._replace(counts=Counts(5, 1, {"x": 2}, {"views": 1})))
    events = [each._replace(offset=start + at) for at, each in enumerate(drawn)]
    users = list(dict.fromkeys(USERS[event.user] for event in events))
    events = [event._replace(user=users.index(USERS[event.user])) for event in events]
    record = FakeRecord("views", 0, b"", b"")
    batch = Batch(
        {"clickstream": 50, "searches": 60, "views": 70},
        {user: at for at, user in enumerate(users)},
        events,
        3,
        [(record, InvalidRecord(reason, "")) for reason in reasons],
    )

    commit = batch_commit(batch, {user: rows.get(user) for user in users}, shard.state, DEFAULT, model)

    after = shard.after(commit)
    causes = {change.user: change.cause for change in commit.changes}
    for user in USERS:
        have = rows.get(user)
        new = [
            event
            for event in events
            if users[event.user] == user
            and (event.topic != "clickstream" or have is None or event.offset > have.offsets.get("clickstream", -1))
        ]
        if not new:
            assert after.rows.get(user) == have and user not in causes
            continue
        profile = list(have.profile if have else (0, 0, 0, 0, 0, 0, 0, 100, -1))
        offsets = dict(have.offsets if have else {})
        for event in new:
            timed = event.measure != NO_MEASURE
            profile[0 if event.topic == "clickstream" else 3] += 1
            profile[1] += timed
            profile[2] += event.measure * timed
            profile[7], profile[8] = min(profile[7], event.time_ms), max(profile[8], event.time_ms)
            offsets[event.topic] = event.offset
        row = after.rows[user]
        segment = slug_of(tuple(profile), model)
        assert row == Row(user, segment, model.number if model else 0, tuple(profile), offsets, row.vector)
        if have is None:
            assert causes[user] == "behaviour"
        elif have.segment != segment:
            assert causes[user] == ("model" if slug_of(have.profile, model) == segment else "behaviour")
    dead = {reason: 2 * (reason == "x") + reasons.count(reason) for reason in sorted({"x", *reasons})}
    assert after.state == shard.state._replace(
        census=after.state.census,
        space=space_of(model),
        offsets=batch.offsets,
        counts=Counts(5 + len(events), 4, dead, {"views": 1}),
    )


@pytest.mark.parametrize(("full", "more"), [(2**63 - 1, 1), (-(2**63), -1)])
def test_a_sum_that_needs_more_than_64_bits_is_named(full: int, more: int) -> None:
    """And whose it is."""
    row = Row(b"u2", UNASSIGNED, 0, (9, 9, full, 10, 20), {}, ())
    events = [Applied(at, "purchases", at, 30, more) for at in (0, 1)]
    batch = Batch({"purchases": 2}, {b"u1": 0, b"u2": 1}, events, 0, [])
    with pytest.raises(SumTooLarge, match="purchase_amount of user u2 needs more than 64 bits"):
        batch_commit(batch, {b"u1": None, b"u2": row}, EMPTY.state, (BUILT_IN["purchase"],), None)


@pytest.mark.parametrize("vector", [(5, 0, -1), (5, 0, -1, 9, 9), ()])
def test_a_row_whose_vector_cannot_be_in_the_census_is_refused(vector: Numbers) -> None:
    """It would be taken back otherwise than it was counted; one that an older space has left is not in it."""
    right = Row(b"u1", "low", 3, (1, 1, 250, 0, 0, 0, 0, 10, 20), {}, (5, 0, -1, 9))
    state = EMPTY.state._replace(space=Space(NAMES, 1), census=census_of([right], Space(NAMES, 1)))
    wrong = right._replace(vector=vector)
    with pytest.raises(Corrupt, match=f"the row of user u1 .*its vector has {len(vector)} numbers, not 4"):
        sweep_commit([wrong], state, DEFAULT, generation(4, ("low", "high"), (0, 2)))
    assert counted([right, wrong], Space(("a",), 4)).tolist() == [[-1], [-1]]
