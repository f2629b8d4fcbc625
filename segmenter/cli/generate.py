"""`segmenter generate`: publish synthetic events of known personas."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common

Count = Number(gte=0)
Positive = Number(gte=1)


def generate(
    *,
    events: Annotated[int, Parameter(validator=Count)] = 100_000,
    users: Annotated[int, Parameter(validator=Positive)] = 3_000,
    seed: Annotated[int, Parameter(validator=Count)] = 1,
    days: Annotated[int, Parameter(validator=Positive)] = 7,
    invalid: Annotated[int, Parameter(validator=Count)] = 0,
    json: common.Json = False,
) -> None:
    """Publish synthetic events of users whose personas are known.

    The same arguments give the same events, with the same ids: published twice, they count once.

    Parameters
    ----------
    events
        The number of events.
    users
        The number of users they belong to.
    seed
        Chooses the users and their behaviour.
    days
        The number of days over which the events are spread, from 2026-01-05 on.
    invalid
        How many invalid records to publish as well: they become dead letters.
    """
    from producers.publish import publish
    from producers.synthetic.generator import generate as synthetic
    from producers.synthetic.personas import personas

    settings = common.settings("kafka")
    records = synthetic(events, users, seed, days=days, invalid=invalid, kinds=settings.kinds)
    with common.progress("publishing", events + invalid) as advance:
        published = publish(settings, records, advance)
    report = {
        "published": published.published,
        "events": events,
        "invalid": invalid,
        "users": users,
        "seed": seed,
        "personas": dict(Counter(persona.name for persona in personas(users, seed).values())),
        "seconds": round(published.seconds, 3),
    }
    common.emit(report, json, _show)


def _show(report: dict[str, Any]) -> None:
    rate = report["published"] / max(report["seconds"], 0.001)
    common.console.print(
        f"published {report['published']:,} records of {report['users']:,} users, {report['invalid']:,} of them "
        f"invalid, in {report['seconds']:.1f} s ({rate:,.0f} a second)"
    )
    common.console.print("personas: " + ", ".join(f"{name} {users:,}" for name, users in report["personas"].items()))
