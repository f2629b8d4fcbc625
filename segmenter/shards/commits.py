"""The commits to make: what a batch, a sweep, a restore or a repair changes in the rows of a shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segmenter.errors import Corrupt, SumTooLarge
from segmenter.events import shown
from segmenter.kinds import Kind
from segmenter.model import census, folding, kmeans, profiles
from segmenter.model.generation import Generation, Space, space_of
from segmenter.model.profiles import Profile
from segmenter.shards.batches import Applied, Batch
from segmenter.shards.row import Row
from segmenter.shards.state import Change, Commit, Removed, ShardState

Rows = Mapping[bytes, Row | None]
Kinds = tuple[Kind, ...]
Matrix = NDArray[np.int64]


def batch_commit(batch: Batch, rows: Rows, state: ShardState, kinds: Kinds, generation: Generation | None) -> Commit:
    """Fold a batch into the rows of its users, and judge the users again. ``rows`` holds each user of the batch.

    An event at or before the last offset that its row has applied is skipped: the row holds it already. Raises
    `SumTooLarge`, and `Corrupt` for a row whose vector cannot be in the census.
    """
    users = list(batch.users)
    folded = _profiles([rows[user] for user in users], kinds)
    applied = [event for event in batch.events if event.offset > _last(rows[users[event.user]], event.topic)]
    _fold(folded, applied, users, kinds)
    last: dict[int, dict[str, int]] = {}
    for event in applied:
        offsets = last.setdefault(event.user, dict(_offsets(rows[users[event.user]])))
        offsets[event.topic] = event.offset
    touched = sorted(last)
    commit = _judged(
        [users[index] for index in touched],
        folded[touched],
        [last[index] for index in touched],
        rows,
        state,
        kinds,
        generation,
    )
    reasons: dict[str, int] = {}
    for _, invalid in batch.invalid:
        reasons[invalid.reason] = reasons.get(invalid.reason, 0) + 1
    counts = state.counts.plus(len(batch.events), batch.duplicates, reasons)
    return commit._replace(after=commit.after._replace(offsets=batch.offsets, counts=counts))


def _fold(folded: Matrix, applied: Sequence[Applied], users: Sequence[bytes], kinds: Kinds) -> None:
    names = profiles.fields(kinds)
    count_of = {kind.topic: names.index(kind.plural) for kind in kinds}
    try:
        folding.fold(
            folded,
            np.array([event.user for event in applied], dtype=np.int64),
            np.array([count_of[event.topic] for event in applied], dtype=np.int64),
            np.array([event.measure for event in applied], dtype=np.int64),
            np.array([event.time_ms for event in applied], dtype=np.int64),
        )
    except folding.Overflow as overflow:
        raise SumTooLarge(shown(users[overflow.row]), names[overflow.column]) from None


def sweep_commit(rows: Sequence[Row], state: ShardState, kinds: Kinds, generation: Generation) -> Commit:
    """Judge rows again that an older generation has judged."""
    known = {row.user: row for row in rows}
    return _judged(list(known), _profiles(rows, kinds), [row.offsets for row in rows], known, state, kinds, generation)


def restore_commit(
    users: Sequence[bytes],
    known: Sequence[Profile],
    offsets: Sequence[dict[str, int]],
    state: ShardState,
    kinds: Kinds,
    generation: Generation | None,
) -> Commit:
    """New rows for users with known profiles and last offsets who have no row yet."""
    return _judged(users, _matrix(known, kinds), offsets, dict.fromkeys(users), state, kinds, generation)


def repair_commit(
    correct: Mapping[bytes, tuple[Profile, dict[str, int]]],
    gone: Sequence[bytes],
    rows: Rows,
    state: ShardState,
    kinds: Kinds,
    generation: Generation | None,
) -> Commit:
    """Replace the rows of users by their correct profiles and last offsets, judged again; remove the rows of ``gone``.

    ``rows`` holds the present row of each of these users, None for one that the census does not count.
    """
    users = list(correct)
    right = _matrix([profile for profile, _ in correct.values()], kinds)
    commit = _judged(users, right, [offsets for _, offsets in correct.values()], rows, state, kinds, generation)
    leaving = [row for user in gone if (row := rows[user]) is not None]
    given_back = counted(leaving, commit.after.space)
    without = census.moved(commit.after.census, given_back, [row.segment for row in leaving], given_back[:0], [])
    changes = [Change(row.user, row.segment, None, "repair") for row in leaving]
    changes += [change._replace(cause="repair") for change in commit.changes]
    known = {row.user: Removed(row.user, row.generation, row.offsets) for row in leaving}
    removed = [known.get(user, Removed(user)) for user in gone]
    return Commit(commit.rows, changes, commit.after._replace(census=without), removed)


def counted(rows: Sequence[Row], space: Space) -> Matrix:
    """What rows add to a census in this space, shape (rows, features). Raises `Corrupt`."""
    for row in rows:
        if not row.fits(space):
            what = f"its vector has {len(row.vector)} numbers, not {len(space.features)}"
            raise Corrupt(f"the row of user {shown(row.user)} in Redis cannot be read ({what})")
    numbers = [row.counted(space) for row in rows]
    return np.array(numbers, dtype=np.int64).reshape(len(rows), len(space.features))


def _judged(
    users: Sequence[bytes],
    folded: Matrix,
    offsets: Sequence[dict[str, int]],
    rows: Rows,
    state: ShardState,
    kinds: Kinds,
    generation: Generation | None,
) -> Commit:
    space = space_of(generation)
    state = state.counted_in(space)
    after = folding.vectors_of(folded, space.features, kinds)
    slugs = kmeans.judge(after, generation)
    number = generation.number if generation else 0
    judged = [
        Row(user, slug, number, tuple(profile), cut, tuple(vector))
        for user, slug, profile, cut, vector in zip(users, slugs, folded.tolist(), offsets, after.tolist(), strict=True)
    ]
    known = [row for user in users if (row := rows[user]) is not None]
    before = counted(known, space)
    moved = census.moved(state.census, before, [row.segment for row in known], after, slugs)
    if older := [index for index, row in enumerate(known) if row.generation < space.since]:
        before[older] = folding.vectors_of(_profiles([known[index] for index in older], kinds), space.features, kinds)
    by_model = {row.user: slug for row, slug in zip(known, kmeans.judge(before, generation), strict=True)}
    changes = [change for row in judged if (change := _change(row, rows[row.user], by_model))]
    return Commit(judged, changes, state._replace(census=moved))


def _change(after: Row, before: Row | None, by_model: Mapping[bytes, str]) -> Change | None:
    """The change of segment, if any. Its cause is the model if the old vector would have been judged so, too."""
    if before is None:
        return Change(after.user, None, after.segment, "behaviour")
    if before.segment == after.segment:
        return None
    return Change(
        after.user, before.segment, after.segment, "model" if by_model[after.user] == after.segment else "behaviour"
    )


def _matrix(rows: Sequence[Profile], kinds: Kinds) -> Matrix:
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(profiles.fields(kinds)))


def _profiles(rows: Sequence[Row | None], kinds: Kinds) -> Matrix:
    folded = folding.zero(len(rows), len(profiles.fields(kinds)))
    known = [index for index, row in enumerate(rows) if row is not None]
    if known:
        folded[known] = [row.profile for row in rows if row is not None]
    return folded


def _offsets(row: Row | None) -> Mapping[str, int]:
    return {} if row is None else row.offsets


def _last(row: Row | None, topic: str) -> int:
    return _offsets(row).get(topic, -1)
