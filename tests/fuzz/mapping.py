"""Any bytes as a mapping and a recorded file, and all that must hold of whatever becomes of them.

The mapping stands first, as TOML or as ``@`` and the name of one in examples/mappings, then a line ``---``, then the
file: gzipped if it begins so. A mapping of Parquet is only read: what follows would be pyarrow's to judge.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections import Counter
from pathlib import Path

from producers.messages import Message, Refused, RefusedRows, count_refused
from producers.recorded.mapping import Mapping
from producers.recorded.mapping_file import load
from producers.recorded.replay import ReplayOptions, messages
from segmenter.errors import MappingError, UsageError
from segmenter.events import Event, Rules, decode
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN, by_topic

SEPARATOR = b"\n---\n"
GZIPPED = b"\x1f\x8b"
NOW_MS = 1_800_000_000_000
RULES = Rules(partitions=4, kinds=tuple(BUILT_IN.values()), currency="EUR")
SHIPPED = {
    f"@{path.stem}".encode(): re.sub(rb" *#.*", b"", path.read_bytes()).replace(b'"parquet"', b'"csv"')
    for path in (Path(__file__).parents[2] / "examples" / "mappings").glob("*.toml")
}
"""The mappings that come with the product, without comments; the one of Parquet fits a CSV of the same columns."""


def check(data: bytes, folder: Path) -> Counter[str]:
    """How many rows were published and refused, or why not. AssertionError: a promise is broken."""
    text, _, content = data.partition(SEPARATOR)
    path, file = folder / "mapping.toml", folder / ("rows.gz" if content.startswith(GZIPPED) else "rows")
    path.write_bytes(SHIPPED.get(text, text))
    file.write_bytes(content)
    try:
        mapping = load(path, RULES.kinds)
    except MappingError as error:
        return one_line(error)
    if mapping.format == "parquet":
        return Counter(["Parquet"])
    options = ReplayOptions(newest_ms=NOW_MS if len(data) % 2 else None)
    try:
        counts = sums(list(messages(file, path, RULES, NOW_MS, options)))
    except UsageError as error:
        return one_line(error)
    assert counts.total() == rows(content, mapping), counts
    return counts


def one_line(error: UsageError) -> Counter[str]:
    """What was wrong, said as promised."""
    assert len(str(error).splitlines()) == 1 and str(error).encode(), str(error)
    return Counter([type(error).__name__])


def sums(found: list[Message | Refused]) -> Counter[str]:
    """The rows by their outcome. Each that is published is an event to the worker, too."""
    counts: Counter[str] = Counter()
    refused: dict[str, RefusedRows] = {}
    for each in found:
        if isinstance(each, Refused):
            count_refused(refused, each)
        else:
            part = shard_of(each.key, RULES.partitions)
            kind = by_topic(RULES.kinds)[each.topic]
            assert isinstance(decode(each.value, each.key, kind, part, NOW_MS, RULES), Event), each
            counts["published"] += 1
    counts.update({reason: each.rows for reason, each in refused.items()})
    return counts


def rows(content: bytes, mapping: Mapping) -> int:
    """How many rows of data the file has, counted without `producers`."""
    plain = gzip.decompress(content) if content.startswith(GZIPPED) else content
    marked = codecs.lookup(mapping.encoding).name == "utf-8" and plain.startswith(codecs.BOM_UTF8)
    text = io.StringIO(plain[3 * marked :].decode(mapping.encoding, "surrogateescape"), newline="")
    if mapping.format == "jsonl":
        return sum(not line.isspace() for line in text)
    return sum(bool(cells) for cells in csv.reader(text, delimiter=mapping.separator)) - 1
