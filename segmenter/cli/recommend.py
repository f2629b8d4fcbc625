"""`segmenter recommend`: items that a user may like next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli import common
from segmenter.errors import UsageError

if TYPE_CHECKING:
    from segmenter.operations.recommendations import Recommendation, Recommendations

Most = Annotated[int | None, Parameter(validator=Number(gte=1, lte=1_000))]


def recommend(
    user: str | None = None,
    /,
    *,
    limit: Most = None,
    all_users: Annotated[bool, Parameter(name="--all")] = False,
    top: Most = None,
    json: common.Json = False,
) -> None:
    """Recommend items that the user's segment likes, that go with what the user had, and that the user has not had.

    Segments are those of the latest snapshot; who had what is in the raw events with an item_id. All of these are read
    each time, so a service reads the table recommendations, which --all fills. The formula: docs/recommendations.md.

    Parameters
    ----------
    user
        The id, exactly as in the events.
    limit
        How many items to show for the user; by default 10.
    all_users
        For every user, into the table recommendations, in place of what it held.
    top
        With --all, how many items to store for each user; by default 10.
    """
    if (user is None) != all_users:
        raise UsageError("name one user, or all: segmenter recommend USER, or segmenter recommend --all.")
    if (top if user is not None else limit) is not None:
        raise UsageError("--limit is for one USER, and --top for --all: leave the other one out.")
    from segmenter.operations import recommendations

    settings = common.settings("warehouse_url")
    if user is not None:
        found = recommendations.recommend(settings, user, limit or 10, common.progress)
        common.emit(_report(found), json, _show)
        return
    began = time.monotonic()
    number, run = recommendations.recommend_all(settings, top or 10, time.time_ns() // 1_000_000, common.progress)
    report = {"run_id": number, **run._asdict(), "seconds": round(time.monotonic() - began, 3)}
    common.emit(report, json, _show_all)


def _report(found: Recommendations) -> dict[str, Any]:
    from segmenter.events.user_ids import text_of

    items = [
        {**each._asdict(), "item": text_of(each.item), "reason": reason(each, found.segment)} for each in found.items
    ]
    return {**found._asdict(), "snapshot": found.snapshot._asdict(), "user": text_of(found.user), "items": items}


def reason(item: Recommendation, segment: str) -> str:
    """Why an item is recommended, in words.

    >>> from segmenter.operations.recommendations import Recommendation
    >>> reason(Recommendation(b"tea", 0.1, 0.34, 2.1, 3), "regulars")
    'had by 34.0 % of regulars, 2.1 times as often as by others of equal activity; goes with 3 items of the user'
    """
    share = f"{100 * item.share:.1f} %"
    if item.lift is None:
        return f"popular: had by {share} of all users"
    liked = f"had by {share} of {segment}, {item.lift:.1f} times as often as by others of equal activity"
    return liked + (f"; goes with {_counted(item.near)} of the user" if item.near else "")


def _counted(items: int) -> str:
    return f"{items:,} item{'' if items == 1 else 's'}"


def _show(report: dict[str, Any]) -> None:
    from segmenter.events import shown

    def line(text: str) -> None:
        common.console.print(text, markup=False, soft_wrap=True)

    line(f"{shown(report['user'].encode())}: {report['segment']}, had {_counted(report['had'])}")
    if report["basis"] == "popularity":
        why = "has no items yet" if report["segment"] != "unassigned" else "is in no segment yet"
        line(f"by popularity, since the user {why}")
    if not report["items"]:
        line("nothing that could be recommended is left")
    for place, item in enumerate(report["items"], 1):
        line(f"{place:3}. {shown(item['item'].encode())}  {item['score']:.4f}  {item['reason']}")


def _show_all(report: dict[str, Any]) -> None:
    common.console.print(
        f"run {report['run_id']}: {report['recommendations']:,} recommendations of {report['items']:,} items for "
        f"{report['users']:,} users, by snapshot {report['snapshot_id']}, in {report['seconds']:.1f} s"
    )
