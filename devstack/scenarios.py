"""The orders that the demo places, and how each is to end. To show another case, add a line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from devstack.orders import Timeline, order_body

SHIPPED: Final = frozenset({"payment.captured", "inventory.shipped"})
OVERDUE: Final = frozenset({"payment.capture_failed", "inventory.shipped"})
DECLINED: Final = frozenset({"payment.declined"})
VOIDED: Final = frozenset({"payment.voided"})
UNDONE: Final = frozenset({"inventory.released", "payment.voided"})


@dataclass(frozen=True)
class Scenario:
    """An order, its expected final status, and the facts that its timeline must hold when all is done."""

    title: str
    body: Mapping[str, Any]
    status: str
    facts: frozenset[str]
    cancel: bool = False
    """Whether the customer asks for its cancellation as soon as it is placed."""

    def is_over(self, timeline: Timeline) -> bool:
        """Tell whether the order ended as it should: the money and the stock too, not the status alone."""
        return timeline.status == self.status and self.facts <= timeline.events

    def is_lost(self, timeline: Timeline) -> bool:
        """Tell whether it can no longer end as it should: it reached another final status."""
        return timeline.status in _FINAL - {self.status}


_FINAL = frozenset({"ready", "rejected", "cancelled"})

DEMO: Final = (
    Scenario("Two mugs", order_body("MUG-01", 2), "ready", SHIPPED),
    Scenario("One mug", order_body("MUG-01"), "ready", SHIPPED),
    Scenario("Five mugs", order_body("MUG-01", 5), "ready", SHIPPED),
    Scenario("Card declined", order_body(token="tok_declined"), "rejected", DECLINED),
    Scenario("Insufficient funds", order_body(token="tok_insufficient_funds"), "rejected", DECLINED),
    Scenario("Card gateway fails twice, retried after 1 s and 5 s", order_body(token="tok_flaky"), "ready", SHIPPED),
    Scenario("More than there is in stock, payment voided", order_body("RARE-01", 50), "cancelled", VOIDED),
    Scenario("Undeliverable address, all undone", order_body(postal_code="00000"), "cancelled", UNDONE),
    Scenario("Cancelled by the customer", order_body(city="Flaky"), "cancelled", UNDONE, cancel=True),
    Scenario("Payment cannot be captured", order_body(token="tok_capture_refused"), "ready", OVERDUE),
)
