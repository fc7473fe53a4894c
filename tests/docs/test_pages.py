"""Every page's links lead somewhere, and every decision record has its parts."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, README, ROOT, Page

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PARTS = ["Status", "Context", "Decision", "Consequences"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    """A link names a file or folder of the checkout and, behind #, a heading of that page."""
    assert page.broken_links() == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A link to no file, to no heading, or out of the checkout is reported; a web address is left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, here\n[a](page.md) [b](#a-title-here) [c](none.md) [d](#none) [e](/etc/hosts) [f](https://x.test/y)\n"
        "```text\n[g](in-code.md)\n```\n"
    )
    assert Page(page, tmp_path).broken_links() == ["none.md", "#none", "/etc/hosts"]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts(path: Path) -> None:
    """Title with the file's number, then status, context, decision and consequences; half a page, not a book."""
    page = Page(path)
    number = path.name[:4]
    assert page.headings(1)[0].startswith(f"{int(number)}. ")
    assert page.headings(2) == PARTS
    assert all(page.section(part).strip() for part in PARTS)
    assert len(page.text.split()) < 450


def test_decisions_are_numbered_and_listed() -> None:
    """Numbers have no gap, and the index names each record by its title, in order."""
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = Page(ROOT / "docs" / "decisions" / "README.md")
    listed = re.findall(r"^- \[(.+?)\]\((.+?)\)", index.text, re.MULTILINE)
    assert listed == [(Page(path).headings(1)[0], path.name) for path in DECISIONS]


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    """Whoever starts at the README finds every page."""
    reached, waiting = {README.path}, [README]
    while waiting:
        page = waiting.pop()
        for link in page.links():
            target = (page.path.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                waiting.append(Page(target))
    assert [page.name for page in PAGES if page.path not in reached] == []
