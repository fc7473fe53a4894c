"""The gate: what the code says may be released after what was released last."""

import copy
import re

from devstack.contracts import RELEASED
from devstack.paths import CHECKOUT
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import load
from messaging.compatibility.broker import compare_topologies
from messaging.compatibility.messages import compare_events
from messaging.compatibility.verdict import breaking


def test_nothing_breaks_what_was_released(base: Json) -> None:
    """Every event and queue of the last release is still served. If not: docs/howto/evolve-an-event.md."""
    released = load(CHECKOUT / RELEASED)
    broken = breaking([*compare_events(released, base), *compare_topologies(released, base)])
    assert broken == [], "./run contracts diff says what breaks, and for whom"


def releases(changelog: str) -> list[str]:
    """The versions of a changelog, newest first: those with a date or, if there is none yet, the one that comes."""
    dated = re.findall(r"^## \[(\S+)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    return dated or re.findall(r"^## \[Unreleased\] (\S+)$", changelog, re.MULTILINE)


def test_the_last_release_is_that_of_the_changelog() -> None:
    """Whoever dates an entry keeps the document of that version; before the first one, that of the coming one."""
    assert load(CHECKOUT / RELEASED)["info"]["version"] == releases((CHECKOUT / "CHANGELOG.md").read_text())[0]


def test_a_release_without_its_document_would_be_noticed() -> None:
    """The newest dated entry counts, whatever is being worked on."""
    assert releases("## [Unreleased] 0.3.0\n## [0.2.0] - 2027-01-02\n## [0.1.0] - 2026-12-01\n")[0] == "0.2.0"
    assert releases("## [Unreleased] 0.1.0\n")[0] == "0.1.0"


def test_a_breaking_change_would_be_noticed(base: Json) -> None:
    """The gate closes: a field of an event is gone."""
    head = copy.deepcopy(base)
    del head["components"]["schemas"]["ShippingReady"]["properties"]["tracking_number"]
    assert breaking(compare_events(load(CHECKOUT / RELEASED), head))
