"""One message ends in a dead-letter queue for ever: nothing is unsafe, and a cancel finishes nearly every order."""

import pytest

from contracts import InventoryReserved
from tests.model.network import Network
from tests.model.remote import EVERY_ENVIRONMENT
from tests.model.system import COMPENSATION, EVENTS, Delivery, System

BOOKING = Delivery("shipping", InventoryReserved)
EVERY_QUEUE = System().deliveries(EVENTS)


def unsafe(parked: Delivery, *, cancelled: bool, system: System | None = None) -> dict[str, str]:
    """What is wrong in any world in which this queue has parked its message."""
    found: dict[str, str] = {}
    for environment in EVERY_ENVIRONMENT:
        network = Network(
            environment,
            inbox=True,
            system=system or System(),
            parked=frozenset({parked}),
            cancelled_at_once=cancelled,
        )
        found |= network.explore().violations
    return found


@pytest.mark.parametrize("cancelled", [False, True], ids=["cancel_at_any_time", "cancelled_at_once"])
@pytest.mark.parametrize("parked", EVERY_QUEUE, ids=str)
def test_nothing_is_unsafe_while_a_message_is_parked(parked: Delivery, *, cancelled: bool) -> None:
    """A message that is never handled can hold an order up; it cannot make it wrong."""
    assert not unsafe(parked, cancelled=cancelled)


@pytest.mark.parametrize("cancelled", [False, True], ids=["cancel_at_any_time", "cancelled_at_once"])
def test_a_cancellation_that_tells_the_carrier_nothing_is_caught(*, cancelled: bool) -> None:
    """If shipping fenced the carrier only for bookings that it saw, a parked booking could outlive its order."""
    assert unsafe(BOOKING, cancelled=cancelled, system=System(cancel_fences=False))


@pytest.mark.parametrize("parked", EVERY_QUEUE, ids=str)
def test_a_cancel_finishes_every_order_unless_a_compensation_is_parked(parked: Delivery) -> None:
    """Cancelled at once, every order ends; only the queues of compensations can prevent it, so they must never park."""
    stuck = 0
    for environment in EVERY_ENVIRONMENT:
        network = Network(environment, inbox=True, parked=frozenset({parked}), cancelled_at_once=True)
        stuck += sum(not network.system.status(world.facts).final for world in network.explore().at_rest)
    assert (stuck > 0) == (parked in COMPENSATION)
