"""The files of the report in their folder: each is there as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from segmenter.errors import Forbidden, UsageError


def prepare(folder: Path) -> None:
    """Make the folder, and see that a file can be written there.

    Raises `UsageError` if not, and `Forbidden` where the right to do so is missing.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


def put(folder: Path, contents: Mapping[str, bytes], outdated: Iterable[str]) -> list[Path]:
    """Write files in this order, in place of those of their names, and remove the outdated ones before the last.

    Each has another name beside it until it is complete. Raises as `prepare` does.
    """
    *first, last = [(folder / name, content) for name, content in contents.items()]
    with _explained(folder):
        for file, content in first:
            _replace(file, content)
        for name in outdated:
            (folder / name).unlink(missing_ok=True)
        _replace(*last)
    return [folder / name for name in contents]


def _replace(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}.{uuid4().hex[:8]}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        wrong = f"the report cannot be written into {folder}: {error.strerror or type(error).__name__}."
        if isinstance(error, PermissionError):
            raise Forbidden(f"{wrong} Name a folder in which you may write.") from error
        raise UsageError(f"{wrong} Name another folder, or make room in this one.") from error
