"""Files of Parquet and CSV: what they hold, and that they are there as a whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from pyarrow import parquet

from segmenter.errors import Forbidden, NothingYet, SegmenterError, Unreachable, UsageError
from segmenter.operations.export import export_to_file
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse
from tests.defaults import VALUES
from tests.export.world import COLUMNS, IDS, Stop, after_the_first, expected, stop, write

SCHEMA = pyarrow.schema(
    [
        ("user_id", "string"),
        ("segment", "string"),
        ("segment_name", "string"),
        ("generation", "int64"),
        *[(name, "float64" if name.startswith("mean_") else "int64") for name in VALUES],
        ("snapshot_id", "int64"),
        ("taken_at", pyarrow.timestamp("ms", "UTC")),
    ]
)
BELOW = Path("date=2026-11-27/snapshot-1.parquet")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def typed(cells: dict[str, str]) -> dict[str, Any]:
    """The cells of a line, as a reader types them who knows which columns are text."""
    row: dict[str, Any] = dict(cells)
    for name in COLUMNS[3:-1]:
        row[name] = (float if name.startswith("mean_") else int)(cells[name]) if cells[name] else None
    return row | {"taken_at": datetime.fromisoformat(cells["taken_at"])}


def unmarked(text: str) -> str:
    """As docs/export.md says it."""
    return text[1:] if text.startswith("'") else text


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_parquet_holds_what_sql_says(
    settings: Settings, database: Warehouse, tmp_path: Path, far_from_utc: None
) -> None:
    number = write(database)
    out = tmp_path / "out"
    exported = export_to_file(settings, str(out))
    assert exported.target == str(out / BELOW)
    assert exported[1:7] == (None, "parquet", number, len(IDS), 0, (out / BELOW).stat().st_size)
    opened = parquet.ParquetFile(out / BELOW)
    assert opened.schema_arrow.equals(SCHEMA)
    assert opened.read().to_pylist() == expected(database, number)
    assert [opened.metadata.row_group(index).num_rows for index in range(3)] == [10, 10, len(IDS) - 20]
    assert files(out) == [str(BELOW)]


def test_an_incremental_snapshot_is_exported_as_a_whole(
    settings: Settings, database: Warehouse, tmp_path: Path
) -> None:
    whole = write(database)
    increment = write(database, [*IDS, "new"], incremental=True)
    (new,) = expected(database, increment)
    export_to_file(settings, f"{tmp_path}/users.parquet")
    found = parquet.read_table(tmp_path / "users.parquet").to_pylist()
    wanted = [*[row | {"snapshot_id": increment} for row in expected(database, whole)], new]
    assert found == sorted(wanted, key=lambda row: row["user_id"].encode())


def test_other_programs_see_one_table_of_all_snapshots_by_date(
    settings: Settings, database: Warehouse, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="no DuckDB here: it is not built for musl")
    later = datetime(2026, 11, 28, tzinfo=UTC)
    dates = {write(database): "2026-11-27", write(database, IDS[:3], later): "2026-11-28", write(database, ()): None}
    for number in dates:
        export_to_file(settings, f"file://{tmp_path}/out/", number)
    read = f"FROM read_parquet('{tmp_path}/out/**/*.parquet', hive_partitioning = true)"
    found = duckdb.sql(f"SELECT date::VARCHAR, snapshot_id, COUNT(*) {read} GROUP BY ALL ORDER BY snapshot_id")
    assert found.fetchall() == [("2026-11-27", 1, len(IDS)), ("2026-11-28", 2, 3)]
    ids = duckdb.sql(f"SELECT user_id {read} WHERE date = '2026-11-27'").fetchall()
    assert {user for (user,) in ids} == set(IDS)
    empty = parquet.read_schema(tmp_path / "out" / "date=2026-11-27" / "snapshot-3.parquet")
    assert empty.equals(SCHEMA), "also of nobody"


def test_csv_holds_what_sql_says_once_the_marks_are_off(
    settings: Settings, database: Warehouse, tmp_path: Path
) -> None:
    number = write(database)
    file = tmp_path / "users.csv"
    assert export_to_file(settings, str(file)).format == "csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [typed(cells) for cells in csv.DictReader(opened)]
    texts = ("user_id", "segment", "segment_name")
    for row in rows:
        assert not row["user_id"].startswith(("=", "+", "-", "@", "\t", "\r")), row
        assert not row["segment_name"].startswith("=")
    assert [row | {name: unmarked(row[name]) for name in texts} for row in rows] == expected(database, number)
    assert len({row["user_id"] for row in rows}) == len(IDS), "no mark makes one user of two"


def test_verbatim_csv_has_no_marks(settings: Settings, database: Warehouse, tmp_path: Path) -> None:
    number = write(database)
    export_to_file(settings, str(tmp_path), format_="csv", verbatim=True)
    with (tmp_path / BELOW.with_suffix(".csv")).open(encoding="utf-8", newline="") as opened:
        assert [typed(cells) for cells in csv.DictReader(opened)] == expected(database, number)


def test_numbers_are_never_marked_and_never_quoted(settings: Settings, database: Warehouse, tmp_path: Path) -> None:
    write(database, ["-7"])
    file = tmp_path / "users.csv"
    export_to_file(settings, str(file))
    _, line = file.read_text("utf-8").splitlines()
    assert line.startswith('"\'-7","low_engagement","\'=HYPERLINK(1)",1,1,0,0,')
    assert line.endswith(",,0,1,2026-11-27 23:59:59.999Z"), "a mean that is missing is an empty cell"


@pytest.mark.parametrize("target", ["memory://bucket/path", "memory://bucket/users.csv"])
def test_any_filesystem_will_do_and_the_same_file_is_replaced(
    target: str, settings: Settings, database: Warehouse
) -> None:
    memory = fsspec.filesystem("memory")
    write(database)
    exported = [export_to_file(settings, target)._replace(seconds=0) for _ in range(2)]
    assert exported[0] == exported[1]
    assert [f"memory:/{path}" for path in memory.find("/bucket")] == [exported[0].target]
    assert memory.size(exported[0].target) == exported[0].bytes
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_what_goes_wrong_while_users_are_read_leaves_the_former_file(
    format_: Any, settings: Settings, database: Warehouse, tmp_path: Path
) -> None:
    write(database)
    for before in (None, b"the former"):
        file = tmp_path / BELOW.with_suffix(f".{format_}")
        if before:
            file.write_bytes(before)
        with pytest.raises(Stop):
            export_to_file(settings, str(tmp_path), format_=format_, progress=after_the_first(stop))
        assert files(tmp_path / "date=2026-11-27") == ([file.name] if before else [])
    assert file.read_bytes() == b"the former"


def test_a_folder_that_vanishes_in_the_middle(settings: Settings, database: Warehouse, tmp_path: Path) -> None:
    write(database)
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"snapshot-1.parquet cannot be written: No such file or directory\. Its "):
        export_to_file(settings, str(out), progress=after_the_first(lambda: shutil.rmtree(out)))
    assert not out.exists()


class Failing(MemoryFileSystem):  # type: ignore[misc]
    """A filesystem that takes the first bytes only, or all but the last step."""

    protocol = "failing"
    error: Exception = OSError()
    at = ""

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = super()._open(path, mode, **options)
        failing = self

        class File(MemoryFile):  # type: ignore[misc]
            def write(self, data: bytes) -> int:
                if failing.at == "write" and self.tell() > 100:
                    raise failing.error
                return int(super().write(data))

            def close(self) -> None:
                if failing.at == "close":
                    raise failing.error

        opened.__class__ = File
        return opened

    def mv(self, *paths: str, **options: Any) -> None:
        if self.at == "move":
            raise self.error
        super().mv(*paths, **options)


fsspec.register_implementation("failing", Failing)


FULL = (OSError(28, "No space left on device"), UsageError, "No space left on device")
NO_RIGHT = (PermissionError(13, "Access denied"), Forbidden, "Access denied")
GONE = (ConnectionResetError(104, "reset"), Unreachable, "try again")
OTHER = (RuntimeError("the driver's own\nerror."), Unreachable, "the driver's own")


@pytest.mark.parametrize(
    ("at", "name", "error", "raised", "words"),
    [
        *[(at, f"users.{ending}", *FULL) for at in ("write", "close", "move") for ending in ("csv", "parquet")],
        *[("write", "users.parquet", *other) for other in (NO_RIGHT, GONE, OTHER)],
    ],
)
def test_a_filesystem_that_fails_leaves_nothing(
    at: str, name: str, error: Exception, raised: type[SegmenterError], words: str,
    settings: Settings, database: Warehouse, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write(database)
    filesystem = fsspec.filesystem("failing")
    monkeypatch.setattr(Failing, "at", at)
    monkeypatch.setattr(Failing, "error", error)
    with pytest.raises(raised, match=words) as caught:
        export_to_file(settings, f"failing://me:s3cret@bucket/{name}")
    assert type(caught.value) is raised
    assert "s3cret" not in str(caught.value)
    assert filesystem.find("/") == []


def test_a_file_is_on_the_disk_before_it_has_its_name(
    settings: Settings, database: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(database)
    file = tmp_path / "users.csv"
    synced: list[tuple[int, int, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        state = os.fstat(descriptor)
        synced.append((state.st_ino, state.st_size, file.exists()))

    monkeypatch.setattr(os, "fsync", noted)
    size = export_to_file(settings, str(file)).bytes
    assert synced == [(file.stat().st_ino, size, False)]


def test_a_disk_that_is_full_ends_the_command_with_one_line(
    settings: Settings, database: Warehouse, tmp_path: Path
) -> None:
    """A file may not grow beyond 40,000 bytes here, which is enough for what SQLite keeps beside a warehouse."""
    ids = [f"u{number}" for number in range(400)]
    write(database, ids)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    environ |= {"SEGMENTER_WAREHOUSE_URL": settings.warehouse_url, "PYTHONPATH": str(Path(__file__).parents[2])}
    environ["PYTHONDONTWRITEBYTECODE"] = "1"
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2);"
        "runpy.run_module('segmenter', run_name='__main__')"
    )

    def command(most: int, *words: str) -> subprocess.CompletedProcess[str]:
        full = [sys.executable, "-c", limited, str(most), "export", *words]
        return subprocess.run(full, cwd=tmp_path, env=environ, capture_output=True, text=True)

    done = command(40_000, "out", "--format", "csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: out/date=2026-11-27/snapshot-1.csv cannot be written: File ")
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "out") == []
    done = command(1_000_000, "out", "--json")
    report = json.loads(done.stdout)
    size = (tmp_path / "out" / BELOW).stat().st_size
    assert report | {"seconds": 0} == {
        "target": f"out/{BELOW}", "table": None, "format": "parquet", "snapshot_id": 1, "rows": 400,
        "left_out": 0, "bytes": size, "seconds": 0,
    }  # fmt: skip
    assert done.stderr.startswith("exporting: 400 in ")


def test_what_cannot_be_a_target_is_said(settings: Settings, database: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(NothingYet):
        export_to_file(settings, str(tmp_path))
    write(database)
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    for target, words in {
        f"{tmp_path}/file": r"Not a directory\. Name another place\.$",
        "/proc/nothing": r"No such file or directory\. Its folder or bucket is not there and cannot be made",
        "": r"the target is empty\. Name a folder, a file that ends in \.parquet or \.csv, ",
        " ": "the target is empty",
        f"{tmp_path}/folder.csv": "Is a directory",
        "nothing://x/y": "Protocol not known: nothing. Name a folder",
        "oracle://me:s3cret@x/y": r"oracle://me:\*\*\*@x/y.* cannot be written: Protocol not known",
        "gs://bucket/x": "gcsfs",
    }.items():
        with pytest.raises(UsageError, match=words):
            export_to_file(settings, target)
    with pytest.raises(UsageError, match=r"ends in \.csv, but the format is parquet"):
        export_to_file(settings, "users.csv", format_="parquet")
    with pytest.raises(UsageError, match="--verbatim is for CSV"):
        export_to_file(settings, str(tmp_path), verbatim=True)
    with pytest.raises(UsageError, match="no snapshot 9, only 1 to 1"):
        export_to_file(settings, str(tmp_path), 9)
    assert files(tmp_path / "folder.csv") == []
