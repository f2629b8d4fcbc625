"""What can be fuzzed: by name, the check of one input, and what changes one into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import decoder, decoder_changes, mapping, mapping_changes

Check = Callable[[bytes, Path], Counter[str]]
Change = Callable[[bytes, int, int, Callable[[bytes, int], bytes]], bytes]

TARGETS: dict[str, tuple[Check, Change]] = {
    "decoder": (lambda data, folder: decoder.check(data), decoder_changes.change),
    "mapping": (mapping.check, mapping_changes.change),
}
