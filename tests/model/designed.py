"""Reads lifecycle.md, the design that the services' tables are compared with."""

from pathlib import Path

_PAGE = Path(__file__).with_name("lifecycle.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    """Give the rows of the table under this heading: first the column's names, the line under them left out."""
    section = _PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def names_in(cell: str) -> frozenset[str]:
    """Split a list of names."""
    return frozenset(name for name in cell.split(", ") if name)
