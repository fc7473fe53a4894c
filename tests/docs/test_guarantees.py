"""The table of guarantees names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/guarantees.md").read_text())))


def functions(path: Path) -> set[str]:
    """The functions that a module defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    """Each guarantee points to a test that is there."""
    assert name in functions(ROOT / path)


def test_there_are_guarantees() -> None:
    """The page was read."""
    assert len(NAMED) > 40


def test_a_test_that_is_gone_would_be_noticed(tmp_path: Path) -> None:
    """A module without the function does not satisfy the check."""
    module = tmp_path / "test_other.py"
    module.write_text("async def test_there() -> None: ...\n")
    assert functions(module) == {"test_there"}
