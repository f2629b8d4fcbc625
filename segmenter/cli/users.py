"""Attributes of users beside their events: load them from a file, or show those of one user."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from segmenter.cli import common

if TYPE_CHECKING:
    from producers.messages import RefusedRows
    from segmenter.operations.users.load import Preview
    from segmenter.warehouse import AttributeValue

users = App(name="users")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@users.command
def load(
    file: Path,
    /,
    *,
    mapping: Path,
    preview: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: common.Json = False,
) -> None:
    """Load columns of a file as attributes of users into the warehouse: CSV, JSON Lines or Parquet, plain or gzipped.

    The last value of each user and attribute wins. Rows that do not fit are counted and listed by reason, and the
    others are loaded; if an error ends it, nothing is. Analysts read the view users: one row a user, one column an
    attribute.

    Parameters
    ----------
    file
        The file; gzipped when its name ends in .gz.
    mapping
        A TOML file that says which columns are attributes; see docs/users.md.
    preview
        Print the first users as they would be loaded, and load nothing. Needs no warehouse.
    """
    from segmenter import settings
    from segmenter.operations.users import load as loading

    now_ms = time.time_ns() // 1_000_000
    if preview is not None:
        first = loading.preview(settings.load(), file, mapping, now_ms, preview)
        common.emit(_previewed(file, first), json, _show_preview)
        return
    done = loading.load(common.settings("warehouse_url"), file, mapping, now_ms, common.progress)
    report = {
        "file": str(file),
        "read": done.read,
        "loaded": done.loaded,
        "refused": _told(done.refused),
        "attributes": done.attributes,
        **done.values._asdict(),
        "seconds": round(time.time_ns() / 1e9 - now_ms / 1e3, 3),
    }
    common.emit(report, json, _show_loaded)


@users.command
def show(user: str, /, *, json: common.Json = False) -> None:
    """Show the attributes of a user: type, value, and since when it is known; end with 2 if there are none.

    Parameters
    ----------
    user
        The id, exactly as in the events.
    """
    from segmenter import warehouse
    from segmenter.errors import UsageError
    from segmenter.events import shown

    key = user.encode(errors="surrogatepass")  # text that is not an id is unknown
    with warehouse.connect(common.settings("warehouse_url")) as database:
        found = warehouse.attributes_of(database, key)
    if not found:
        raise UsageError(
            f"no attributes of the user {shown(key)} are stored: ids are compared byte for byte. Load some by "
            "`segmenter users load FILE --mapping M`."
        )
    common.emit({"user": user, "attributes": [each._asdict() for each in found]}, json, lambda _: _show(key, found))


def _told(refused: dict[str, RefusedRows]) -> dict[str, Any]:
    return {reason: tally._asdict() for reason, tally in refused.items()}


def _previewed(file: Path, first: Preview) -> dict[str, Any]:
    from segmenter.events import text_of

    users = [{**row._asdict(), "user": text_of(row.user)} for row in first.users]
    return {"file": str(file), "preview": users, "refused": _told(first.refused)}


def _show_preview(report: dict[str, Any]) -> None:
    for user in report["preview"]:
        since = "" if user["as_of_ms"] is None else f", since {_moment(user['as_of_ms'])}"
        line = f"row {user['row']}: {user['user']!a} {user['values']}{since}"
        common.console.print(line, markup=False, soft_wrap=True)
    _show_refused(report)


def _show_loaded(report: dict[str, Any]) -> None:
    line = common.console.print
    refused = report["read"] - report["loaded"]
    line(f"read {report['read']:,} = loaded {report['loaded']:,} + refused {refused:,}, in {report['seconds']:.1f} s")
    _show_refused(report)
    line(f"{report['users']:,} users; {report['changed']:,} values are new or changed")
    for name, rows in report["attributes"].items():
        line(f"  {name}: in {rows:,} rows")
    if report["snapshot_id"] is None:
        line("there is no snapshot yet, so nobody knows how many of these users have events")
    else:
        line(f"{report['without_events']:,} of these users have no events in snapshot {report['snapshot_id']}")


def _show_refused(report: dict[str, Any]) -> None:
    for reason, tally in report["refused"].items():
        rows = ", ".join(map(str, tally["first"]))
        line = f"  refused {tally['rows']:,}: {reason}. First rows {rows}: {tally['detail']}"
        common.console.print(line, markup=False, soft_wrap=True)


def _show(user: bytes, found: list[AttributeValue]) -> None:
    from segmenter.events import shown

    common.console.print(shown(user), markup=False, soft_wrap=True)
    for name, kind, value, as_of_ms in found:
        written = f"{value:,}" if isinstance(value, float) else ascii(value)
        common.console.print(f"  {name}: {written} ({kind}, since {_moment(as_of_ms)})", markup=False, soft_wrap=True)


def _moment(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
