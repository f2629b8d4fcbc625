"""Looks users up all the time, as the programs of others do, and watches whether the answers fit together.

    python -m tests.soak.asker SEED

Each line on standard input is the number of users there may be. For each, it prints a JSON object with the numbers
since the line before: ``asked``, ``unknown``, ``stale``, and what was ``wrong``. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import redis

from producers.synthetic.personas import user_id
from segmenter.client import Answer, SegmentClient
from segmenter.settings import load
from tests.soak.apart import break_if_asked

AT_ONCE = 25
PAUSE_SECONDS = 0.05
NOBODY = "nobody"
"""A user who never does anything."""

MOST_WRONG = 3
COUNTS = ("clicks", "clicks_timed", "click_ms", "searches", "views", "views_timed", "view_ms")


class Asker:
    """What has been answered so far."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._settings = load()
        self._plainly = redis.Redis.from_url(self._settings.redis_url, decode_responses=True)
        self._last: dict[str, Answer] = {}
        self._slugs: dict[int, set[str]] = {}

    def ask(self, client: SegmentClient, users: int, counts: Counter[str]) -> Iterator[str]:
        """Look some users up; what is wrong with the answers."""
        asked = [NOBODY, *[user_id(self._random.randrange(users)) for _ in range(AT_ONCE)]]
        answers = client.lookup_many(asked)
        current = int(self._plainly.hget(f"{self._settings.key_prefix}:model", "current") or 0)
        for user, answer in zip(asked, answers, strict=True):
            counts["asked"] += 1
            counts["unknown"] += answer.segment == "unknown"
            counts["stale"] += answer.stale
            for wrong in (*self._wrong(answer, current), *self._wrong_since(self._last.get(user), answer)):
                yield f"{wrong} of {user}: {answer}"
            if answer.segment != "unknown":
                self._last[user] = answer

    def _wrong(self, answer: Answer, current: int) -> Iterator[str]:
        """What of one answer does not fit."""
        if answer.age_ms is None or answer.age_ms > self._settings.stale_after_ms:
            if not answer.stale:
                yield "too old to be fresh"
        elif answer.age_ms < 0:
            yield "younger than now"
        if answer.segment == "unknown":
            if answer.aggregates or answer.generation or answer.offsets:
                yield "unknown, and yet something is known"
            return
        if answer.user == NOBODY:
            yield "somebody who never came"
        total = answer.aggregates
        expected = {
            "total_clicks": total["clicks"],
            "total_searches": total["searches"],
            "total_views": total["views"],
            "mean_click_ms": total["click_ms"] / total["clicks_timed"] if total["clicks_timed"] else None,
            "mean_view_ms": total["view_ms"] / total["views_timed"] if total["views_timed"] else None,
        }
        if answer.features != expected:
            yield "features that are not those of the aggregates"
        if answer.segment not in self._slugs_of(answer.generation, current):
            yield "a segment that its generation does not know"
        if answer.name != answer.segment.replace("_", " ").capitalize():
            yield "a name of another segment"
        if answer.generation > current:
            yield f"a generation after the current one, {current},"

    def _wrong_since(self, before: Answer | None, answer: Answer) -> Iterator[str]:
        """What of an answer does not fit to the one before about the same user."""
        if before is None:
            return
        if answer.segment == "unknown":
            yield "no longer known"
            return
        if answer.generation < before.generation:
            yield "an earlier generation than before"
        if any(answer.offsets.get(topic, -1) < offset for topic, offset in before.offsets.items()):
            yield "earlier offsets than before"
        if any(answer.aggregates[name] < before.aggregates[name] for name in COUNTS):
            yield "less than before"
        if answer.offsets == before.offsets and answer.aggregates != before.aggregates:
            yield "other aggregates at the same offsets"

    def _slugs_of(self, generation: int, current: int) -> set[str]:
        """The slugs of the segments of a generation; all if it is so old that it is not kept any more."""
        if generation not in self._slugs:
            body = self._plainly.hget(f"{self._settings.key_prefix}:model", str(generation))
            if generation == 0:
                return {"unassigned"}
            if body is None and generation < current:
                return set(self._settings.segments)
            self._slugs[generation] = {each["slug"] for each in json.loads(body or '{"segments":[]}')["segments"]}
            self._slugs.pop(generation - 1_000, None)
        return self._slugs[generation]


def main() -> None:
    users, changed = 1, threading.Event()

    def listen() -> None:
        nonlocal users
        for line in sys.stdin:
            users = int(line)
            changed.set()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    break_if_asked(os.environ)
    asker = Asker(int(sys.argv[1]))
    counts: Counter[str] = Counter(asked=0, unknown=0, stale=0)
    wrong: list[str] = []
    with SegmentClient() as client:
        while True:
            wrong += asker.ask(client, users, counts)
            if changed.wait(PAUSE_SECONDS):
                changed.clear()
                print(json.dumps({**counts, "wrong": wrong[:MOST_WRONG]}), flush=True)
                counts, wrong = Counter(asked=0, unknown=0, stale=0), []


if __name__ == "__main__":
    main()
