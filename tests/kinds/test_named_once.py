"""Nothing but the table of kinds names a kind: whoever adds one changes that file alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from segmenter.kinds import BUILT_IN

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "segmenter" / "kinds.py"
NAMES = {name for kind in BUILT_IN.values() for name in (kind.name, kind.plural, kind.topic, *kind.fields)}
NAMES |= {feature.name for kind in BUILT_IN.values() for feature in kind.features}
WORD = re.compile(r"(?<![A-Za-z0-9_/])(?:cut_|raw_|mean_|total_)?([a-z]+(?:_[a-z]+)*)(?![A-Za-z0-9_])")


def test_no_other_module_names_a_kind() -> None:
    """Docstrings may, for an example."""
    files = [file for folder in ("segmenter", "producers", "consumers") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        if file != TABLE
        for line, name in named(file.read_text("utf-8"))
    ]
    assert found == []


def test_no_sql_and_no_script_names_a_kind() -> None:
    files = [*(ROOT / "sql").glob("*.sql"), *(ROOT / "segmenter").rglob("*.lua")]
    assert len(files) > 10
    assert [(file.name, names) for file in files if (names := names_in(file.read_text("utf-8")))] == []


def test_one_that_is_named_is_found() -> None:
    source = '"""Of clicks."""\nTABLE = f"raw_{x} AND views"\n\ndef f(a):\n    return a.clicks_timed + a.search(r"x")\n'
    assert list(named(source)) == [(2, "views"), (5, "clicks_timed")]
    assert names_in("SELECT cut_clickstream FROM preview") == ["clickstream"]


def named(source: str) -> Iterator[tuple[int, str]]:
    """The line and name of each kind, or what follows from one, in the texts and names of a module."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(each.value)
        for node in ast.walk(tree)
        if isinstance(node, documented) or hasattr(node, "body")
        for each in (node.body if isinstance(getattr(node, "body", None), list) else ())
        if isinstance(each, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from ((node.lineno, name) for name in names_in(node.value))
        elif isinstance(node, ast.Attribute) and node.attr in NAMES - {"search"}:  # the method of regular expressions
            yield node.lineno, node.attr
        elif isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            if name in NAMES:
                yield node.lineno, name


def names_in(text: str) -> list[str]:
    """The names in a text, also after the prefix of a table or a column."""
    return [word[1] for word in WORD.finditer(text) if word[1] in NAMES or word[0] in NAMES]
