"""How fresh the data are, and whether the stream equals the batch, in words."""

from __future__ import annotations

from typing import Literal, NamedTuple

from segmenter.report.facts import Facts
from segmenter.report.words import listed, people, plural, span

OLD_MS = 86_400_000


class Status(NamedTuple):
    """A line at the top of the page."""

    state: Literal["good", "open", "bad"]
    title: str
    text: str


def freshness(facts: Facts) -> Status:
    """When the snapshot was taken, and how long that was before the report."""
    age = facts.made_ms - facts.snapshot.taken_ms
    old = age >= OLD_MS
    text = f"By the clocks of {facts.timezone}. The page was made {span(max(0, age))} later."
    if old:
        text += " Run `segmenter snapshot` for newer data."
    if facts.events_missing:
        text += (
            f" The sink has yet to load {plural(facts.events_missing, 'event')} of it, so hours, pages, items and "
            "queries lack them: run `segmenter sink`."
        )
    state: Literal["good", "open"] = "open" if old or facts.events_missing else "good"
    return Status(state, f"Data as of {facts.moment(facts.snapshot.taken_ms)}", text)


def verdict(facts: Facts) -> Status:
    """What the last comparison of the snapshot with the batch found."""
    found = facts.verdict
    if found is None:
        return Status("open", "Not reconciled yet", "Run `segmenter reconcile` to compare every user with the batch.")
    when = f"Compared on {facts.moment(found.reconciled_ms)}."
    if found.equal:
        return Status(
            "good", "Stream equals batch", f"{people(found.compared)} compared, not one number differs. {when}"
        )
    wrong = [
        f"{people(count)} {what}"
        for count, what in (
            (found.differing, "with other numbers"), (found.missing, "missing from the stream"),
            (found.extra, "that only the stream has"),
        )
        if count
    ]  # fmt: skip
    wrong += [f"{plural(found.shards, 'shard')} with wrong counts"] if found.shards else []
    if not wrong:
        return Status(
            "open",
            "Equal, as far as the warehouse knows",
            f"{people(found.compared)} compared, not one number differs. The warehouse lacks the events of "
            f"{plural(found.gaps, 'gap')}, so users with events there may differ: `segmenter reconcile` names what is "
            f"missing. {when}",
        )
    wrong += [f"{plural(found.gaps, 'gap')} in the warehouse"] if found.gaps else []
    return Status(
        "bad",
        "Stream and batch differ",
        f"{people(found.compared)} compared: {listed(wrong)}. Run `segmenter reconcile --repair`. {when}",
    )
