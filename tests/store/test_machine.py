"""Any sequence of commits, repeats, former owners, lost writes and half-failed scripts leaves the store correct."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumers.worker.acquire import Owner, ShardLog, acquire
from consumers.worker.owned_shard import OwnedShard, Superseded, fold, needs_sweep, sweep
from segmenter.errors import Corrupt, Fenced, OwnershipLost, RolledBack
from segmenter.model.census import Tally
from segmenter.model.generation import Generation, Space, digest
from segmenter.settings import Settings
from segmenter.shards.commits import batch_commit
from segmenter.shards.row import Row
from segmenter.shards.state import Change, Commit, Removed, ShardState
from segmenter.store.connection import Store, connect
from segmenter.store.keys import Keys
from segmenter.store.models import publish, read_model
from segmenter.store.rows import read_rows, scan_rows
from segmenter.store.shards import commit_shard, heartbeat, new_token, read_shards
from tests.defaults import NAMES, TOPICS
from tests.store.ledger import Ledger, Log, Logged, generation_of, next_batch, profile_of, segment_of

USERS = [b"u1", b"u2", b"{u}", b"a:b", b"nul\0"]
KEY = bytes(16)
TOPIC_IDS = {topic: f"id of {topic}" for topic in TOPICS}
ZERO = dict.fromkeys(TOPICS, 0)

events = st.lists(
    st.tuples(st.sampled_from(USERS), st.sampled_from(sorted(TOPICS)), st.integers(0, 50), st.integers(-1, 9)),
    min_size=1, max_size=12,
)  # fmt: skip
few = st.integers(1, 4)


class Machine(RuleBasedStateMachine):
    """One shard, its owner and those before, and a ledger of what must be there."""

    numbers = itertools.count()

    def __init__(self, given: Settings) -> None:
        super().__init__()
        prefix = f"{given.key_prefix}:{next(self.numbers)}"
        self.settings = dataclasses.replace(given, key_prefix=prefix.replace(":", "-"), partitions=1, commit_rows=2)
        self.keys = Keys(self.settings.key_prefix)
        self.client: Any = connect(self.settings)
        self.store = Store(self.client, self.settings)
        self.log: Log = {topic: [] for topic in TOPICS}
        self.ledger = Ledger()
        self.copies: list[tuple[dict[bytes, bytes], Ledger]] = [({}, Ledger())]
        self.owner: OwnedShard | None = None
        self.judges: Generation | None = None
        self.former: list[OwnedShard] = []

    def teardown(self) -> None:
        self.put_back({})
        self.client.close()

    # the world

    @initialize(new=events)
    def the_log_begins(self, new: list[tuple[bytes, str, int, int]]) -> None:
        self.events_arrive(new)

    @rule(new=events)
    def events_arrive(self, new: list[tuple[bytes, str, int, int]]) -> None:
        for user, topic, time_ms, duration_ms in new:
            self.log[topic].append(Logged(user, TOPICS[topic], time_ms, duration_ms))

    @rule()
    def another_takes_the_shard(self) -> None:
        if self.owner:
            self.former.append(self.owner)
        self.judges = read_model(self.client, self.settings)
        self.owner = acquire(self.store, 0, Owner(new_token(), ""), ShardLog(TOPIC_IDS, ZERO), self.judges, KEY)
        assert self.owner.state.token != self.ledger.token
        assert self.owner.state.version > self.ledger.version
        assert dict(self.owner.offsets) == self.ledger.offsets
        self.ledger.token, self.ledger.version = self.owner.state.token, self.owner.state.version
        self.ledger.dirty = False

    @rule(clicks=few, features=st.sampled_from([NAMES, ("total_clicks", "total_views")]))
    def a_generation_is_published(self, clicks: int, features: tuple[str, ...]) -> None:
        """By the same features as the one before, or by others."""
        before = self.ledger.generation
        number = before.number + 1 if before else 1
        space = before.space if before and before.features == features else Space(features, number)
        following = generation_of(number, clicks, space)
        assert publish(self.client, self.settings, following, before)
        self.ledger.generations.append(following)

    @rule()
    def a_copy_is_made(self) -> None:
        kept = {key: self.client.dump(key) for key in self.client.keys(f"{self.settings.key_prefix}:*")}
        self.copies.append((kept, copy.deepcopy(self.ledger)))

    @rule(data=st.data())
    def redis_goes_back_in_time(self, data: st.DataObject) -> None:
        self.restored(*data.draw(st.sampled_from(self.copies[-3:])))

    # the owner

    @rule(most=few)
    def the_owner_applies_a_batch(self, most: int) -> None:
        batch = next_batch(self.log, self.owner_().offsets, most)
        if self.written(lambda: fold(self.store, self.owner_(), batch, self.judges)):
            self.ledger.offsets = dict(batch.offsets)

    @rule(most=few, goes_on=st.booleans())
    def the_answer_comes_late(self, most: int, goes_on: bool) -> None:
        """The same call is made again; or the owner gives up without having heard."""
        commit, batch = self.commit(most)
        first = self.committed(commit)
        if first[0] != "ok":
            return self.expect(first[0])
        self.ledger.version += 1
        self.ledger.offsets = dict(batch.offsets)
        assert self.committed(commit) == ("done", first[1])
        if goes_on:
            self.owner_().state, self.owner_().offsets = first[1], batch.offsets
        else:
            self.owner = None
        return None

    @rule(most=few, where=st.sampled_from(["row", "audience", "feed"]), data=st.data())
    def a_script_fails_half_way(self, most: int, where: str, data: st.DataObject) -> None:
        if self.refusal(self.owner_()) or self.outdated():
            self.another_takes_the_shard()
        commit, batch = self.commit(most)
        keys: list[Any] = {
            "row": [self.keys.user(row.user) for row in commit.rows],
            "audience": [self.keys.audience(0, change.after or "") for change in commit.changes],
            "feed": [self.keys.feed(0)] if commit.changes else [],
        }[where]
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        kept = self.client.dump(key)
        self.client.set(key, "of another type")
        with pytest.raises(Corrupt, match="WRONGTYPE"):
            self.committed(commit)
        self.client.delete(key)
        if kept:
            self.client.restore(key, 0, kept)
        self.ledger.dirty, self.ledger.complete_feed, self.owner = True, False, None
        self.ledger.ahead = {topic: max(end, self.ledger.ahead[topic]) for topic, end in batch.offsets.items()}

    @precondition(lambda self: self.owner and needs_sweep(self.owner, self.judges))
    @rule()
    def the_owner_sweeps_a_part(self) -> None:
        self.written(lambda: sweep(self.store, self.owner_(), self.judges))  # type: ignore[arg-type]

    @rule(user=st.sampled_from(USERS))
    def a_row_is_removed(self, user: bytes) -> None:
        (row,) = read_rows(self.client, self.settings, [user])
        if row is None:
            return
        state = self.owner_().state
        gone, none = {row.segment: -tally([row], state.space)}, tally([], state.space)
        left = {slug: part for slug, total in state.census.items() if (part := total + gone.get(slug, none))}
        commit = Commit(
            [], [Change(user, row.segment, None, "recount")], state._replace(census=left), removed=[Removed(user)]
        )
        answer, after = self.committed(commit)
        if answer != "ok":
            return self.expect(answer)
        self.ledger.version += 1
        self.owner_().state = after
        self.ledger.begins[user] = dict(self.ledger.offsets)
        return None

    @rule(caught_up_ms=st.none() | st.integers(1, 9))
    def the_owner_beats(self, caught_up_ms: int | None) -> None:
        """With the news that the shard held all until then, or without any."""
        answer = heartbeat(self.client, self.settings, {0: (self.owner_().state, caught_up_ms)}, 0)[0]
        if answer != "ok":
            self.expect(answer)
        else:
            assert self.refusal(self.owner_()) is None
            self.ledger.caught_up_ms = caught_up_ms or self.ledger.caught_up_ms

    @rule(most=few, user=st.sampled_from(USERS), lost=st.sampled_from(["commit", "removal", "sweep"]))
    def the_last_write_is_lost(self, most: int, user: bytes, lost: str) -> None:
        """The owner saw it confirmed, and knows better than to go on."""
        self.owner_()
        self.a_copy_is_made()
        if lost == "commit":
            self.the_owner_applies_a_batch(most)
        elif lost == "removal":
            self.a_row_is_removed(user)
        elif needs_sweep(self.owner_(), self.judges):
            self.the_owner_sweeps_a_part()
        self.restored(*self.copies[-1])
        self.the_owner_applies_a_batch(most)

    @rule(most=few)
    def a_takeover_is_lost(self, most: int) -> None:
        """Two acquired the shard at the same version: the later one has it."""
        self.owner_()
        self.a_copy_is_made()
        self.another_takes_the_shard()
        self.restored(*self.copies[-1])
        self.another_takes_the_shard()
        self.former.append(self.owner_())
        self.owner = self.former.pop(-2)
        self.the_owner_applies_a_batch(most)

    # who was the owner

    @precondition(lambda self: self.former)
    @rule(most=few, beats=st.booleans(), data=st.data())
    def a_former_owner_wakes_up(self, most: int, beats: bool, data: st.DataObject) -> None:
        """It is refused, unless Redis went back to just when it was the owner: then it is the owner again."""
        present, judges = self.owner, self.judges
        self.owner = data.draw(st.sampled_from(self.former))
        self.judges = read_model(self.client, self.settings)
        if beats:
            self.the_owner_beats(None)
        else:
            self.the_owner_applies_a_batch(most)
        if self.owner:
            self.former.remove(self.owner)
        else:
            self.owner, self.judges = present, judges

    # what must hold after each

    @invariant()
    def the_shard_is_as_the_ledger_says(self) -> None:
        state = self.state()
        if state is None:
            assert self.ledger.token is None and not self.rows()
            return
        assert (state.token, state.version) == (self.ledger.token, self.ledger.version)
        assert (state.offsets or ZERO, state.dirty) == (self.ledger.offsets, self.ledger.dirty)
        assert state.caught_up_ms == self.ledger.caught_up_ms
        assert (state.fenced, state.counts.folded) == (self.ledger.fenced, sum(self.ledger.offsets.values()))

    @invariant()
    def rows_are_what_the_log_says(self) -> None:
        """Each event below the offsets counts once; beyond them only what a half-failed script wrote, once too."""
        ledger, found = self.ledger, self.rows()
        for user in USERS:
            row = found.get(user)
            counted = list(ledger.events(self.log, user, row.offsets if row else {}))
            assert (row is not None) == bool(counted)
            if row:
                assert row.profile == profile_of(counted)
                generations = dict(enumerate(ledger.generations, 1)) | {0: None}
                assert row.segment == segment_of(row.profile[0], generations[row.generation])
                assert all(last < max(ledger.offsets[t], ledger.ahead[t]) for t, last in row.offsets.items())
        assert found.keys() <= set(USERS)
        past = all(ledger.ahead[topic] <= offset for topic, offset in ledger.offsets.items())
        if past and not ledger.begins and (state := self.state()):
            assert state.counts.folded == sum(sum(row.profile[index] for index in (0, 3, 4)) for row in found.values())

    @invariant()
    def census_and_audiences_are_what_the_rows_say(self) -> None:
        state = self.state()
        if state is None or state.dirty:
            return
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows().values():
            groups[row.segment].append(row)
        assert state.census == {slug: tally(rows, state.space) for slug, rows in groups.items()}
        prefix = self.keys.audience(0, "").encode()
        kept = {key[len(prefix) :].decode(): self.client.smembers(key) for key in self.client.keys(prefix + b"*")}
        assert kept == {slug: {row.user for row in rows} for slug, rows in groups.items()}
        if self.ledger.generation and state.generation == self.ledger.generation.number:
            assert {row.generation for row in self.rows().values()} <= {state.generation}

    @invariant()
    def the_feed_ends_where_everyone_is(self) -> None:
        entries = [fields for _, fields in self.client.xrange(self.keys.feed(0))]
        numbers = [int(fields[b"n"]) for fields in entries]
        if (state := self.state()) and not state.dirty:
            if self.ledger.complete_feed:
                assert numbers == list(range(1, state.feed + 1))
            steps = itertools.pairwise([0, *numbers, state.feed + 1])
            jumps = [at for at, (n, then) in enumerate(steps) if then != n + 1]
            last = {fields[b"user"]: (at, fields[b"to"].decode()) for at, fields in enumerate(entries)}
            for user, row in self.rows().items():
                at, newest = last.get(user, (-1, ""))
                assert newest == row.segment or any(jump > at for jump in jumps)

    # in words

    def owner_(self) -> OwnedShard:
        """The owner; where there is none, somebody acquires the shard."""
        if self.owner is None:
            self.another_takes_the_shard()
        assert self.owner
        return self.owner

    def state(self) -> ShardState | None:
        return read_shards(self.client, self.settings).get(0)

    def rows(self) -> dict[bytes, Row]:
        return {row.user: row for commit in scan_rows(self.client, self.settings) for row in commit}

    def refusal(self, owner: OwnedShard) -> str | None:
        return self.ledger.refusal(owner.state.token, owner.state.version)

    def outdated(self) -> bool:
        return (self.judges and digest(self.judges)) != (self.ledger.generation and digest(self.ledger.generation))

    def commit(self, most: int) -> tuple[Commit, Any]:
        """What the owner would make of the next few events."""
        batch = next_batch(self.log, self.owner_().offsets, most)
        found = dict(zip(batch.users, read_rows(self.client, self.settings, list(batch.users)), strict=True))
        return batch_commit(batch, found, self.owner_().state, self.settings.kinds, self.judges), batch

    def committed(self, commit: Commit) -> tuple[str, ShardState]:
        judged_by = digest(self.judges) if self.judges else ""
        return commit_shard(self.client, self.settings, 0, self.owner_().state, commit, judged_by)

    def written(self, write: Any) -> bool:
        """Whether the owner's write was confirmed; if not, it must have been refused for the right reason."""
        may = self.refusal(self.owner_()) is None and not self.outdated()
        try:
            write()
        except Superseded:
            self.expect("superseded")
        except Fenced as refused:
            self.expect({OwnershipLost: "not owner", RolledBack: "rolled back"}[type(refused)])
        else:
            assert may
            self.ledger.version += 1
            return True
        return False

    def expect(self, answer: str) -> None:
        """The owner got this outcome. Superseded, it follows the model; else it releases the shard."""
        refusal = self.refusal(self.owner_())
        if answer == "superseded":
            assert refusal is None and self.outdated()
            self.judges, self.owner_().unswept = read_model(self.client, self.settings), None
            return
        assert answer == refusal
        self.ledger.fenced += self.ledger.token is not None
        if self.owner in self.former:
            self.former.remove(self.owner)
        self.owner = None

    def restored(self, kept: dict[bytes, bytes], ledger: Ledger) -> None:
        """Redis and the ledger as they were."""
        self.put_back(kept)
        self.ledger = copy.deepcopy(ledger)

    def put_back(self, kept: dict[bytes, bytes]) -> None:
        """Make Redis hold this and nothing else under our names."""
        if there := self.client.keys(f"{self.settings.key_prefix}:*"):
            self.client.delete(*there)
        for key, value in kept.items():
            self.client.restore(key, 0, value)


def tally(rows: list[Row], space: Space) -> Tally:
    """What the vectors in this space add up to, one number after the other; rows that have none there are only users.

    None has a number below 0, which stands for a missing one.
    """
    vectors = [row.vector for row in rows if row.generation >= space.since]
    columns = [[vector[at] for vector in vectors if vector[at] >= 0] for at in range(len(space.features))]
    return Tally(
        len(rows),
        tuple(map(len, columns)),
        tuple(map(sum, columns)),
        tuple(sum(number * number for number in column) for column in columns),
    )


def test_any_sequence_keeps_the_store_right(settings: Settings) -> None:
    run_state_machine_as_test(
        lambda: Machine(settings),
        settings=how(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )
