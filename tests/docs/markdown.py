"""The project's pages, as tests see them: code blocks, links, tables, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code. `place` tells a reader where it is."""

    place: str
    language: str
    text: str


class Page:
    """A Markdown file."""

    def __init__(self, path: Path, root: Path = ROOT) -> None:
        self.path = path
        self.root = root
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")

    def blocks(self, language: str | None = None) -> Iterator[Block]:
        """The fenced blocks, of one language or all."""
        for found in _BLOCK.finditer(self.text):
            line = self.text.count("\n", 0, found.start()) + 1
            block = Block(f"{self.name}:{line}", found[1], found[2])
            if language in {None, block.language}:
                yield block

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _BLOCK.sub("", self.text)

    def links(self) -> list[str]:
        """The targets of all links."""
        return _LINK.findall(self.prose)

    def broken_links(self) -> list[str]:
        """The relative links that name no file or folder of the checkout, or no heading of the page behind `#`."""
        broken: list[str] = []
        for link in self.links():
            path, _, anchor = link.partition("#")
            if "://" in path:
                continue
            target = (self.path.parent / path).resolve() if path else self.path
            missing = not target.exists() or not target.is_relative_to(self.root)
            if missing or (anchor and anchor not in Page(target, self.root).anchors()):
                broken.append(link)
        return broken

    def headings(self, level: int) -> list[str]:
        """The headings of that level, in order."""
        return [title for marks, title in _HEADING.findall(self.prose) if len(marks) == level]

    def anchors(self) -> set[str]:
        """What a link may name behind `#`."""
        titles = (title.lower() for _, title in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """The text below a heading, up to the next one of its level or above. Raises LookupError for no heading."""
        found = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        if found is None:
            msg = f"{self.name} has no section {title!r}"
            raise LookupError(msg)
        rest = self.text[found.end() :]
        end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest


def first_cells(section: str) -> list[str]:
    """The first column of the tables in a section, without the heads and without backticks."""
    cells = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    heads = {index - 1 for index, cell in enumerate(cells) if set(cell) <= {"-", " "}}
    return [cell.replace("`", "") for index, cell in enumerate(cells) if index not in heads and index - 1 not in heads]


README = Page(ROOT / "README.md")
TUTORIAL = Page(ROOT / "docs" / "howto" / "add-a-service.md")
"""Its blocks are steps, taken in order by a test of its own."""
PAGES = [
    Page(path)
    for path in sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")],
        key=lambda path: path.as_posix(),
    )
]
"""Every page of the project."""
