"""An order of the demo has ended well only if its money and stock did, too."""

from datetime import UTC, datetime

import pytest

from devstack.orders import Fact, Timeline
from devstack.scenarios import DEMO, SHIPPED, Scenario


def timeline(status: str, *events: str) -> Timeline:
    """Return a timeline with these events."""
    return Timeline(status, tuple(Fact(event, datetime(2026, 1, 1, tzinfo=UTC)) for event in events))


SCENARIO = Scenario("One mug", {}, "ready", SHIPPED)


@pytest.mark.parametrize(
    ("shown", "over", "lost"),
    [
        (timeline("pending"), False, False),
        (timeline("ready", "shipping.ready"), False, False),
        (timeline("ready", "payment.captured", "inventory.shipped"), True, False),
        (timeline("cancelled", "payment.voided"), False, True),
    ],
)
def test_an_order_is_over_when_all_its_facts_are_there(shown: Timeline, *, over: bool, lost: bool) -> None:
    """A right status alone is not the end; a wrong final one can not become right."""
    assert SCENARIO.is_over(shown) is over
    assert SCENARIO.is_lost(shown) is lost


def test_the_demo_shows_every_final_status() -> None:
    """A newcomer sees an order of each kind."""
    assert {scenario.status for scenario in DEMO} == {"ready", "rejected", "cancelled"}
