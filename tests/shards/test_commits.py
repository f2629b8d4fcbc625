"""What commits change in a shard, against rows judged, counted and told one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.events import InvalidRecord
from segmenter.model.census import Census, Tally
from segmenter.model.generation import Generation, Segment
from segmenter.shards.batches import Applied, Batch
from segmenter.shards.commits import batch_commit, repair_commit, restore_commit, sweep_commit
from segmenter.shards.row import Row
from segmenter.shards.state import UNKNOWN_SHARD, Change, Commit, Counts, ShardState
from tests.defaults import TOPICS
from tests.shards.test_any_order import FakeRecord, coordinate

USERS = (b"u1", b"u2", b"u3", b"u4")
UNIT = 2.0**20
Numbers = tuple[int, ...]


def generation(number: int, slugs: tuple[str, str], clicks: tuple[int, int]) -> Generation:
    """Two segments about so many clicks; nothing else counts."""
    return Generation(
        number=number,
        cause="step",
        features=("a", "b", "c", "d"),
        centres=tuple([(math.log1p(each) * UNIT, 0.0, 0.0, 0.0) for each in clicks]),
        segments=tuple([Segment(id, slug, slug) for id, slug in enumerate(slugs)]),
        scale=(UNIT, 2.0**60, 2.0**60, 2.0**60),
        fill=(0.0, 0.0, 0.0, 0.0),
        population=1,
        fitted_population=1,
        created_ms=0,
    )


MODELS = (
    None,
    generation(1, ("low", "high"), (1, 5)),
    generation(2, ("low", "high"), (0, 2)),
    generation(3, ("high", "low"), (0, 2)),
)


def slug_of(profile: Numbers, model: Generation | None) -> str:
    """The segment of a user with so many clicks."""
    if model is None:
        return "unassigned"
    far = [abs(math.log1p(profile[0]) * UNIT - centre[0]) for centre in model.centres]
    return model.segments[far.index(min(far))].slug


def vector_of(profile: Numbers) -> Numbers:
    clicks, clicks_timed, click_ms, searches, _, views_timed, view_ms = profile[:7]
    amounts = [(clicks, 1), (searches, 1), (click_ms, clicks_timed), (view_ms, views_timed)]
    return tuple(coordinate(amount, count) for amount, count in amounts)


def census_of(rows: Sequence[Row]) -> Census:
    """Counted from the rows, number by number."""
    census: Census = {}
    for slug in {row.segment for row in rows}:
        columns = list(zip(*[row.vector for row in rows if row.segment == slug], strict=True))
        given = [[number for number in column if number != -1] for column in columns]
        census[slug] = Tally(
            len(columns[0]),
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
        assert commit.after.census == census_of(list(rows.values()))
        for row in commit.rows:
            right = vector_of(row.profile)
            assert all(abs(one - other) <= 1 for one, other in zip(row.vector, right, strict=True))
        return Shard(rows, commit.after)


EMPTY = Shard({}, UNKNOWN_SHARD._replace(token="t", version=7, offsets=dict.fromkeys(TOPICS, 0), feed=3))
profiles = st.tuples(*[st.integers(0, 9)] * 9)
known = st.dictionaries(st.sampled_from(USERS), profiles, max_size=4)
models = st.sampled_from(MODELS)


def filled(profiles: dict[bytes, Numbers], model: Generation | None) -> Shard:
    """A shard with these users, each after offset 10 of the views."""
    offsets = [{"views": 10} for _ in profiles]
    return EMPTY.after(restore_commit(list(profiles), list(profiles.values()), offsets, EMPTY.state, model))


@settings(max_examples=60)
@given(known, models)
def test_restored_users_are_rows_judged_by_the_model(profiles: dict[bytes, Numbers], model: Generation | None) -> None:
    """New ones, whose move is told as their own behaviour; nothing else of the shard changes."""
    offsets = [{"views": number} for number in range(len(profiles))]
    commit = restore_commit(list(profiles), list(profiles.values()), offsets, EMPTY.state, model)
    EMPTY.after(commit)
    number = model.number if model else 0
    assert [(row.user, row.profile, row.segment, row.generation) for row in commit.rows] == [
        (user, profile, slug_of(profile, model), number) for user, profile in profiles.items()
    ]
    assert [row.offsets for row in commit.rows] == offsets
    assert commit.changes == [Change(row.user, None, row.segment, "behaviour") for row in commit.rows]
    assert commit.after._replace(census={}) == EMPTY.state and commit.removed == ()


@settings(max_examples=60)
@given(known, models, models.filter(bool))
def test_a_sweep_judges_all_by_the_new_model_and_changes_nothing_else(
    profiles: dict[bytes, Numbers], before: Generation | None, model: Generation
) -> None:
    shard = filled(profiles, before)
    commit = sweep_commit(list(shard.rows.values()), shard.state, model)
    after = shard.after(commit)
    assert [row.user for row in commit.rows] == list(profiles)
    for user, row in after.rows.items():
        expected = shard.rows[user]._replace(segment=slug_of(profiles[user], model), generation=model.number)
        assert row == expected
    assert {change.cause for change in commit.changes} <= {"model"}
    assert after.state._replace(census={}) == shard.state._replace(census={})


@settings(max_examples=60)
@given(known, known, st.sets(st.sampled_from(USERS)), models, models)
def test_a_repair_puts_right_what_it_is_told_and_no_other(
    profiles: dict[bytes, Numbers],
    correct: dict[bytes, Numbers],
    gone: set[bytes],
    before: Generation | None,
    model: Generation | None,
) -> None:
    """Rows replaced or added, rows removed, some of which are not there; every move is told as a repair."""
    shard = filled(profiles, before)
    leaving = sorted(gone - correct.keys())
    wanted = {user: (profile, {"searches": 4}) for user, profile in correct.items()}
    present = {user: shard.rows.get(user) for user in (*correct, *leaving)}
    commit = repair_commit(wanted, leaving, present, shard.state, model)
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
    assert after.state._replace(census={}) == shard.state._replace(census={})


reasons = st.lists(st.sampled_from("xyz"), max_size=5)
applied = st.builds(
    Applied,
    st.integers(0, 2),
    st.sampled_from(["clickstream", "searches"]),
    st.just(0),
    st.just(""),
    st.integers(0, 99),
    st.integers(-1, 9),
)


@settings(max_examples=200)
@given(
    known,
    st.lists(applied, max_size=8),
    models,
    models,
    st.integers(0, 20),
    st.lists(st.sampled_from("xyz")),
    st.data(),
)
def test_a_batch_is_folded_once_and_who_moves_is_told_with_the_cause(
    profiles: dict[bytes, Numbers],
    drawn: list[Applied],
    before: Generation | None,
    model: Generation | None,
    start: int,
    reasons: list[str],
    data: st.DataObject,
) -> None:
    """Events that a row holds already are skipped, and so is a user who has no other; all are counted as folded."""
    shard = filled(profiles, before)
    held = {user: data.draw(st.integers(-1, 25)) for user in USERS}
    rows = {
        user: row._replace(offsets={"clickstream": held[user]} if held[user] >= 0 else {"views": 10})
        for user, row in shard.rows.items()
    }
    shard = Shard(rows, shard.state._replace(counts=Counts(5, 1, {"x": 2}, {"views": 1})))
    kinds = {"clickstream": "click", "searches": "search"}
    events = [each._replace(offset=start + at, kind=kinds[each.topic]) for at, each in enumerate(drawn)]
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

    commit = batch_commit(batch, {user: rows.get(user) for user in users}, shard.state, model)

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
            timed = event.kind == "click" and event.duration_ms >= 0
            profile[0 if event.kind == "click" else 3] += 1
            profile[1] += timed
            profile[2] += event.duration_ms * timed
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
        census=after.state.census, offsets=batch.offsets, counts=Counts(5 + len(events), 4, dead, {"views": 1})
    )
