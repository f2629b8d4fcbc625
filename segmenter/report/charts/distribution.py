"""How the users are distributed over the segments, and what share of the events each segment makes."""

from __future__ import annotations

from collections.abc import Callable

from segmenter.analysis.profiles.words import money
from segmenter.model.features import is_count
from segmenter.model.generation import UNASSIGNED
from segmenter.report.chart import Chart, Table
from segmenter.report.charts.bars import Bar, Panel, draw
from segmenter.report.facts import Facts
from segmenter.report.style import marks_of
from segmenter.report.words import listed, people, percent

Measures = dict[str, dict[str, int]]
"""What is counted of each segment, by what it is."""


def chart(facts: Facts) -> Chart:
    """Shares of the users, of the events and, for each kind with amounts, of what was paid."""
    events = _events(facts)
    paid = _paid(facts)
    measures: Measures = {"users": facts.counts, "events": events} | paid
    told: dict[str, Callable[[int], str]] = {"users": _number, "events": _number}
    told |= dict.fromkeys(paid, lambda number: money(number, facts.currency))
    marks = marks_of(list(facts.names))
    panels = []
    for what, numbers in measures.items():
        total = sum(numbers.values())
        bars = []
        for slug, name in facts.names.items():
            share = numbers[slug] / total if total else None
            label = f"{told[what](numbers[slug])} · {percent(share)}" if share is not None else "none"
            bars.append(Bar(name, None if share is None else 100 * share, label, marks[slug]))
        panels.append(Panel(what.capitalize(), f"share of all {what}, in %", bars, most=100))
    columns = ("segment", *[each for what in measures for each in (what, f"share of {what}")])
    rows = [(name, *_cells(slug, measures, told)) for slug, name in facts.names.items()]
    return Chart(
        slug="segments",
        subject="Sizes of the segments",
        finding=_finding(facts, measures),
        note="Shares of all users and of all their events, from the least to the most engaged segment."
        + (" Refunds lower nothing." if paid else ""),
        table=Table(columns, rows),
        draw=lambda layout: draw(panels, len(panels), layout),
    )


def _finding(facts: Facts, measures: Measures) -> str:
    counts, users = facts.counts, len(facts.users)
    there = [slug for slug, count in counts.items() if count]
    if there == [UNASSIGNED]:
        return f"No segments yet: no model has judged the {people(users)}"
    if len(there) == 1:
        who = "The only user is" if users == 1 else f"All {people(users)} are"
        return f"{who} in one segment: {facts.names[there[0]]}"
    top = [slug for slug in there if slug != UNASSIGNED][-1]
    made = []
    for what, numbers in list(measures.items())[1:]:
        if total := sum(numbers.values()):
            verb = "make" if what == "events" else "stand for"
            made.append(f"{verb} {percent(numbers[top] / total)} of the {what}")
    return f"{facts.names[top]}: {percent(counts[top] / users)} of the users {listed(made)}".rstrip()


def _events(facts: Facts) -> dict[str, int]:
    """How many events the users of each segment have, as their profiles count them."""
    counting = [each.name for each in (*facts.judging, *facts.others) if is_count(each.name)]
    by_segment = facts.users.groupby("segment")[counting].sum().sum(axis=1)
    return {slug: int(by_segment.get(slug, 0)) for slug in facts.names}


def _paid(facts: Facts) -> Measures:
    """What was paid for events of each kind with amounts."""
    plurals = {kind.name: kind.plural.replace("_", " ") for kind in facts.kinds}
    paid: Measures = {}
    for slug, profile in facts.profiles.items():
        for each in profile.amounts:
            paid.setdefault(f"amount of {plurals[each.kind]}", {})[slug] = each.inside.paid
    return paid


def _number(number: int) -> str:
    return f"{number:,}"


def _cells(slug: str, measures: Measures, told: dict[str, Callable[[int], str]]) -> list[str]:
    cells = []
    for what, numbers in measures.items():
        total = sum(numbers.values())
        cells += [told[what](numbers[slug]), percent(numbers[slug] / total) if total else "-"]
    return cells
