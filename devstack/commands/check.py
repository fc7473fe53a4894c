"""The command `./run check`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from devstack.paths import CHECKOUT

_BIN = Path(sys.executable).parent
_CHECKS = (
    ("format", ["ruff", "format", "--check", "--quiet"]),
    ("lint", ["ruff", "check", "--quiet"]),
    ("types", ["basedpyright"]),
    ("import rules", ["lint-imports"]),
)


def check(
    *, fix: Annotated[bool, typer.Option("--fix", help="Format, and mend what can be mended, first.")] = False
) -> None:
    """Check format, lint, types and import rules; all of them, even if the first one fails."""
    if fix:
        _run(["ruff", "check", "--fix", "--quiet"])
        _run(["ruff", "format", "--quiet"])
    console = Console()
    failed = [name for name, command in _CHECKS if not _passes(console, name, command)]
    if failed:
        raise typer.Exit(1)


def _passes(console: Console, name: str, command: list[str]) -> bool:
    done = _run(command)
    passed = done.returncode == 0
    console.print(f"[green]✓[/] {name}" if passed else f"[red]✗[/] {name}: {' '.join(command)}", highlight=False)
    if not passed:
        print(done.stdout + done.stderr)
    return passed


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    tool, *arguments = command
    return subprocess.run([_BIN / tool, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
