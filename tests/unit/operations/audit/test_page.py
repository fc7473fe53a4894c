"""The page that explains the audit names what the audit names."""

from operations.audit.kinds import Kind
from tests.docs.markdown import ROOT, Page, first_cells

PAGE = Page(ROOT / "docs" / "howto" / "audit.md")


def test_every_kind_of_violation_is_explained() -> None:
    """The table has every kind that can be reported, and no other."""
    assert first_cells(PAGE.section("The kinds of violations")) == [kind.value for kind in Kind]
