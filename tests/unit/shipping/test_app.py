"""Shipping as a whole, in memory: its queues, and a cancellation that comes before the parcel."""

from collections.abc import Awaitable, Callable

import pytest
from faststream.rabbit import TestRabbitBroker

import shipping.app
from contracts import (
    RECEIPT,
    InventoryReserved,
    OrderCancelRequested,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
)
from messaging.service import Service
from messaging.testing import envelope
from shipping.domain import State, Verdict
from shipping.gateway import Carrier
from shipping.models import Shipment
from shipping.settings import Settings
from shipping.simulator import SimulatedCarrier
from shipping.undo import UndoWorker


def test_it_hears_and_says_what_the_event_table_lists() -> None:
    """Shipping has one queue for each event that concerns it, and publishes its own four, and receipts."""
    service = shipping.app.build(Settings())
    assert set(service.routes) == {"shipping.inventory.reserved", "shipping.order.cancel_requested"}
    own = (ShippingReady, ShippingFailed, ShippingCancelled, ShippingCancelRefused)
    assert set(service.publishers) == {event.name for event in (*own, RECEIPT)}


@pytest.mark.database
async def test_a_cancelled_order_is_not_shipped(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """A parcel that was booked after the cancellation is cancelled here, and then at the carrier."""
    service = await run_in_memory(shipping.app.build, Settings)
    request, reserved = OrderCancelRequested.example(), InventoryReserved.example()
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(request, **envelope(request))
        await br.publish(reserved, **envelope(reserved))
    simulated = SimulatedCarrier(service.database, latency=0)
    carrier = Carrier(simulated, timeout=5)
    await UndoWorker(service.database, service.execute, carrier, interval=1).work()  # beside the service's own
    async with service.database.session() as db:
        shipment = await db.get_one(Shipment, request.order_id)
    assert (shipment.state, shipment.undo, list(shipment.said)) == (State.CANCELLED, False, ["shipping.cancelled"])
    booking = await simulated.find(str(request.order_id))
    assert booking is not None
    assert booking.verdict == Verdict.FENCED
