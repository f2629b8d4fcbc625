"""What must hold of a store that has caught up, whatever has happened before. Each check yields what does not.

Nothing here is computed by code of the product, except which user belongs to which shard.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segmenter.events.sharding import shard_of
from tests.soak.limits import FEED_LENGTH, FEED_NODE, GENERATIONS_KEPT, NEARLY_ALIKE
from tests.soak.picture import Picture

UNIT = 2**20
PROVISIONAL_USERS = 300
ALIKE = 1e-9
"""Distances to two centres that differ by less may be equal."""


class Known(NamedTuple):
    """What is known of the store from elsewhere."""

    profiles: pd.DataFrame
    """One row for each user, by pandas."""
    records: Mapping[str, int]
    """How many records were published, by kind: ``event``, ``repeat`` and ``invalid``."""
    segments: Sequence[str]
    partitions: int
    feed_length: int = FEED_LENGTH
    generations: int = GENERATIONS_KEPT


def aggregates(picture: Picture, known: Known) -> Iterator[str]:
    """Each user has the profile that pandas gives."""
    expected = {user: dict(zip(known.profiles.columns, row, strict=True)) for user, *row in known.profiles.itertuples()}
    found = {user: json.loads(row["profile"]) for user, row in picture.rows.items()}
    wrong = [user for user in expected.keys() | found.keys() if expected.get(user) != found.get(user)]
    for user in sorted(wrong)[:3]:
        yield f"{len(wrong)} profiles are not those of pandas: {user} is {found.get(user)}, not {expected.get(user)}"


def counts(picture: Picture, known: Known) -> Iterator[str]:
    """Each record is counted once, as what it is, and no record is left out."""
    found: Counter[str] = Counter()
    for shard in picture.of_shards("counts").values():
        found["event"] += shard["folded"]
        found["repeat"] += shard["duplicates"]
        found["invalid"] += sum(shard["dead_letters"].values())
    if found != Counter(known.records):
        yield f"the shards have counted {dict(found)}, published were {dict(known.records)}"
    read = sum(sum(offsets.values()) for offsets in picture.of_shards("offsets").values())
    if read != sum(known.records.values()):
        yield f"the offsets say that {read} records were read, not {sum(known.records.values())}"


def audiences(picture: Picture, known: Known) -> Iterator[str]:
    """Each user is in the audience of the row's segment, and in no other."""
    held = Counter(user for members in picture.audiences.values() for user in members)
    for user in sorted(held.keys() | picture.rows.keys()):
        row = picture.rows.get(user, {})
        shard = shard_of(user.encode(), known.partitions)
        if held[user] != 1 or user not in picture.audiences.get((shard, row.get("segment", "")), ()):
            within = [audience for audience, members in picture.audiences.items() if user in members]
            yield f"{user} is in segment {row.get('segment')}, and in the audiences {within}"
            return


def census(picture: Picture, known: Known) -> Iterator[str]:
    """Each row's vector is that of its profile, and the census of its shard is the sum of the vectors.

    Before the first generation, vectors are empty.
    """
    users, features = list(picture.rows), 4 if picture.generation else 0
    vectors = vectors_of([json.loads(picture.rows[user]["profile"]) for user in users])[:, :features]
    expected: dict[tuple[int, str], list[Any]] = {}
    for user, vector in zip(users, vectors.tolist(), strict=True):
        held = [-1 if text == "" else int(text) for text in picture.rows[user]["vector"].split(",") if text != "-"]
        if held != vector:
            yield f"the vector of {user} is {held}, its profile says {vector}"
        where = (shard_of(user.encode(), known.partitions), picture.rows[user]["segment"])
        tally = expected.setdefault(where, [0, [0] * features, [0] * features, [0] * features])
        tally[0] += 1
        for feature, value in enumerate(vector):
            if value != -1:
                tally[1][feature] += 1
                tally[2][feature] += value
                tally[3][feature] += value * value
    found = {
        (shard, slug): tally for shard, each in picture.of_shards("census").items() for slug, tally in each.items()
    }
    for where in sorted(found.keys() | expected.keys()):
        if found.get(where) != expected.get(where):
            yield f"the census of {where} is {found.get(where)}, its rows add up to {expected.get(where)}"


def segments(picture: Picture, known: Known) -> Iterator[str]:
    """Each row is judged by the current generation, and in the segment of the nearest centre."""
    model = picture.generation
    number = model.get("number", 0)
    for where, found in [(f"the row of {user}", row) for user, row in picture.rows.items()] + [
        (f"shard {shard}", fields) for shard, fields in picture.shards.items()
    ]:
        if int(found["generation"]) != number:
            yield f"{where} is judged by generation {found['generation']}, current is {number}"
            return
    if not model:
        yield from [f"{user} has a segment" for user, row in picture.rows.items() if row["segment"] != "unassigned"][:1]
        return
    users = list(picture.rows)
    vectors = vectors_of([json.loads(picture.rows[user]["profile"]) for user in users]).astype(float)
    filled = np.where(vectors == -1, np.array(model["fill"]), vectors)
    scaled = (filled[:, None, :] - np.array(model["centres"])[None, :, :]) / np.array(model["scale"])
    distances = (scaled**2).sum(axis=2)
    slugs = [segment["slug"] for segment in model["segments"]]
    for user, distance in zip(users, distances, strict=True):
        slug = picture.rows[user]["segment"]
        if slug not in slugs or distance[slugs.index(slug)] > distance.min() * (1 + ALIKE):
            yield f"{user} is in segment {slug}, the squared distances to {slugs} are {distance.tolist()}"
            return


def names(picture: Picture, known: Known) -> Iterator[str]:
    """The slugs are in the order of the setting, and the typical user of each segment does more than one below."""
    slugs = [segment["slug"] for segment in picture.generation.get("segments", [])]
    if slugs != sorted(set(slugs), key=list(known.segments).index):
        yield f"the slugs of the model are {slugs}"
    done = [(slug, typical(picture, slug)) for slug in slugs]
    for (low, less), (high, more) in pairwise([(slug, does) for slug, does in done if does is not None]):
        if 1 + less > (1 + more) * (1 + NEARLY_ALIKE):
            yield f"who is {low} does {less:.2f} typically, who is {high} {more:.2f}"


def keys(picture: Picture, known: Known) -> Iterator[str]:
    """There is a key for each user, and a fixed number of others; no command and no reply is left."""
    allowed = {"meta", "model"}
    for shard in range(known.partitions):
        allowed |= {f"shard:{shard}", f"feed:{shard}"}
        allowed |= {f"audience:{shard}:{slug}" for slug in (*known.segments, "unassigned")}
    others = [key for key in picture.keys if not key.startswith("user:")]
    if strange := set(others) - allowed:
        yield f"{len(strange)} keys that should not be there, such as {sorted(strange)[:3]}"
    if len(picture.keys) - len(others) != len(known.profiles):
        yield f"{len(picture.keys) - len(others)} rows, but {len(known.profiles)} users"


def feed(picture: Picture, known: Known) -> Iterator[str]:
    """It is cut off at its length, without a jump, and ends where each user is."""
    for shard, entries in picture.feeds.items():
        if len(entries) > known.feed_length + FEED_NODE:
            yield f"the feed of shard {shard} has {len(entries)} entries"
        numbers = [int(entry["n"]) for entry in entries]
        if [number for number, after in pairwise(numbers) if after != number + 1]:
            yield f"the feed of shard {shard} jumps: {numbers}"
        if numbers[-1:] != [int(picture.shards[shard]["feed"])]:
            yield f"the feed of shard {shard} ends with {numbers[-1:]}, not with {picture.shards[shard]['feed']}"
        newest = {entry["user"]: entry["to"] for entry in entries}
        for user, to in newest.items():
            if picture.rows.get(user, {}).get("segment") != to:
                yield f"the feed says that {user} is in {to}, the row {picture.rows.get(user)}"
                break


def history(picture: Picture, known: Known) -> Iterator[str]:
    """The latest generations stay, without a gap, and no other."""
    kept = sorted(int(field) for field in picture.model if field.isdigit())
    current = int(picture.model.get("current", 0))
    if kept != list(range(max(1, current - known.generations + 1), current + 1)):
        yield f"current is generation {current}, kept are {kept}"
    if others := set(picture.model) - {*map(str, kept), "current", "digest", "names"}:
        yield f"the model has fields {sorted(others)}"


Check = Callable[[Picture, Known], Iterator[str]]
CHECKS: tuple[Check, ...] = (aggregates, counts, audiences, census, segments, names, keys, feed, history)


def wrong(picture: Picture, known: Known) -> list[str]:
    """What does not hold, each with the name of its check."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(picture, known)]


def typical(picture: Picture, slug: str) -> float | None:
    """How many clicks and searches the typical user of a segment has made; None if it has none."""
    mine = [json.loads(row["profile"]) for row in picture.rows.values() if row["segment"] == slug]
    if not mine:
        return None
    logs = [[math.log1p(profile[name]) for profile in mine] for name in ("clicks", "searches")]
    return sum(math.expm1(sum(each) / len(mine)) for each in logs)


def vectors_of(profiles: Sequence[Mapping[str, int]]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """log1p of the four features in units of 2**-20, -1 where one is missing."""
    table = pd.DataFrame(profiles, dtype="float64")
    click, view = (table[f"{kind}_ms"] / table[f"{kind}s_timed"] for kind in ("click", "view"))  # 0 / 0 is missing
    values = np.log1p(np.column_stack([table["clicks"], table["searches"], click, view])) * UNIT
    return np.where(np.isnan(values), -1, np.rint(np.nan_to_num(values))).astype(np.int64)
