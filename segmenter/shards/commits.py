"""The commits to make: what a batch, a sweep, a restore or a repair changes in the rows of a shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segmenter.model import census, folding, kmeans
from segmenter.model.features import FEATURES
from segmenter.model.generation import Generation
from segmenter.model.profiles import FIELDS, Profile
from segmenter.model.vectors import vectors
from segmenter.shards.batches import Batch
from segmenter.shards.row import Row
from segmenter.shards.state import Change, Commit, Removed, ShardState

Rows = Mapping[bytes, Row | None]
Matrix = NDArray[np.int64]


def batch_commit(batch: Batch, rows: Rows, state: ShardState, generation: Generation | None) -> Commit:
    """Fold a batch into the rows of its users, and judge the users again. ``rows`` holds each user of the batch.

    An event at or before the last offset that its row has applied is skipped: the row holds it already.
    """
    users = list(batch.users)
    profiles = _profiles([rows[user] for user in users])
    applied = [event for event in batch.events if event.offset > _last(rows[users[event.user]], event.topic)]
    folding.fold(
        profiles,
        np.array([event.user for event in applied], dtype=np.int64),
        [event.kind for event in applied],
        np.array([event.duration_ms for event in applied], dtype=np.int64),
        np.array([event.time_ms for event in applied], dtype=np.int64),
    )
    last: dict[int, dict[str, int]] = {}
    for event in applied:
        offsets = last.setdefault(event.user, dict(_offsets(rows[users[event.user]])))
        offsets[event.topic] = event.offset
    touched = sorted(last)
    commit = _judged(
        [users[index] for index in touched],
        profiles[touched],
        [last[index] for index in touched],
        rows,
        state,
        generation,
    )
    reasons: dict[str, int] = {}
    for _, invalid in batch.invalid:
        reasons[invalid.reason] = reasons.get(invalid.reason, 0) + 1
    counts = state.counts.plus(len(batch.events), batch.duplicates, reasons)
    return commit._replace(after=commit.after._replace(offsets=batch.offsets, counts=counts))


def sweep_commit(rows: Sequence[Row], state: ShardState, generation: Generation) -> Commit:
    """Judge rows again that an older generation has judged."""
    profiles = _profiles(rows)
    known = {row.user: row for row in rows}
    return _judged(list(known), profiles, [row.offsets for row in rows], known, state, generation)


def restore_commit(
    users: Sequence[bytes],
    profiles: Sequence[Profile],
    offsets: Sequence[dict[str, int]],
    state: ShardState,
    generation: Generation | None,
) -> Commit:
    """New rows for users with known profiles and last offsets who have no row yet."""
    columns = np.array(profiles, dtype=np.int64).reshape(len(users), len(FIELDS))
    return _judged(users, columns, offsets, dict.fromkeys(users), state, generation)


def repair_commit(
    correct: Mapping[bytes, tuple[Profile, dict[str, int]]],
    gone: Sequence[bytes],
    rows: Rows,
    state: ShardState,
    generation: Generation | None,
) -> Commit:
    """Replace the rows of users by their correct profiles and last offsets, judged again; remove the rows of ``gone``.

    ``rows`` holds the present row of each of these users, None for one that the census does not count.
    """
    users = list(correct)
    profiles = np.array([profile for profile, _ in correct.values()], dtype=np.int64).reshape(len(users), len(FIELDS))
    commit = _judged(users, profiles, [offsets for _, offsets in correct.values()], rows, state, generation)
    leaving = [row for user in gone if (row := rows[user]) is not None]
    given_back = np.array([row.vector for row in leaving], dtype=np.int64).reshape(len(leaving), len(FEATURES))
    counted = census.moved(commit.after.census, given_back, [row.segment for row in leaving], given_back[:0], [])
    changes = [Change(row.user, row.segment, None, "repair") for row in leaving]
    changes += [change._replace(cause="repair") for change in commit.changes]
    known = {row.user: Removed(row.user, row.generation, row.offsets) for row in leaving}
    removed = [known.get(user, Removed(user)) for user in gone]
    return Commit(commit.rows, changes, state._replace(census=counted), removed)


def _judged(
    users: Sequence[bytes],
    profiles: Matrix,
    offsets: Sequence[dict[str, int]],
    rows: Rows,
    state: ShardState,
    generation: Generation | None,
) -> Commit:
    after = vectors(folding.columns(profiles))
    slugs = kmeans.judge(after, generation)
    number = generation.number if generation else 0
    judged = [
        Row(user, slug, number, tuple(profile), cut, tuple(vector))
        for user, slug, profile, cut, vector in zip(
            users, slugs, profiles.tolist(), offsets, after.tolist(), strict=True
        )
    ]
    known = [row for user in users if (row := rows[user]) is not None]
    before = np.array([row.vector for row in known], dtype=np.int64).reshape(len(known), after.shape[1])
    counted = census.moved(state.census, before, [row.segment for row in known], after, slugs)
    by_model = {row.user: slug for row, slug in zip(known, kmeans.judge(before, generation), strict=True)}
    changes = [change for row in judged if (change := _change(row, rows[row.user], by_model))]
    return Commit(judged, changes, state._replace(census=counted))


def _change(after: Row, before: Row | None, by_model: Mapping[bytes, str]) -> Change | None:
    """The change of segment, if any. Its cause is the model if the old vector would have been judged so, too."""
    if before is None:
        return Change(after.user, None, after.segment, "behaviour")
    if before.segment == after.segment:
        return None
    return Change(
        after.user, before.segment, after.segment, "model" if by_model[after.user] == after.segment else "behaviour"
    )


def _profiles(rows: Sequence[Row | None]) -> Matrix:
    profiles = folding.zero(len(rows))
    known = [index for index, row in enumerate(rows) if row is not None]
    if known:
        profiles[known] = [row.profile for row in rows if row is not None]
    return profiles


def _offsets(row: Row | None) -> Mapping[str, int]:
    return {} if row is None else row.offsets


def _last(row: Row | None, topic: str) -> int:
    return _offsets(row).get(topic, -1)
