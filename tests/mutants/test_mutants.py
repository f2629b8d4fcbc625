"""The mutants made by hand still fit the code, and name tests that there are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.mutant import ROOT, Mutant, apply, copy_checkout, every_mutant, read

MUTANTS = every_mutant()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy outside of any repository: within another one than its own, git applies nothing, and says nothing."""
    copy = tmp_path_factory.mktemp("checkout")
    copy_checkout(copy)
    return copy


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant: Mutant, checkout: Path) -> None:
    apply(mutant, checkout, "--check")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_names_tests_that_there_are(mutant: Mutant) -> None:
    for test in mutant.killed_by:
        file, _, name = test.partition("::")
        if name:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            assert name.split("[")[0] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        else:
            assert (ROOT / file).is_file()


def test_a_patch_without_a_promise_is_refused(tmp_path: Path) -> None:
    patch = tmp_path / "nameless.patch"
    patch.write_text("Change: nothing.\n\ndiff --git a/x b/x\n", "utf-8")
    with pytest.raises(ValueError, match="no line Killed by, Promise"):
        read(patch)
