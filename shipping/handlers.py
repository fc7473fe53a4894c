"""What shipping does when it hears of an order. The carrier's answer is evidence; the locked row decides."""

from contracts import (
    CancelReason,
    InventoryReserved,
    OrderCancelRequested,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
)
from shipping.domain import LIFECYCLE, State, must_undo
from shipping.gateway import Booking
from shipping.models import Shipment


async def book_shipment(
    event: InventoryReserved, booking: Booking, shipment: Shipment
) -> list[ShippingReady | ShippingFailed | ShippingCancelled]:
    """Record what the carrier made of the parcel; a booking that met a cancellation is to be undone."""
    step = shipment.take(LIFECYCLE, event, booking.verdict)
    if step.state == State.READY:
        shipment.carrier, shipment.tracking_number = booking.carrier, booking.tracking_number
    elif step.state == State.CANCELLED:
        shipment.cancel_reason = booking.cancel_reason
    elif must_undo(shipment.state, booking.verdict):
        shipment.undo = True
    return shipment.answer(
        step,
        {
            ShippingReady: lambda: ShippingReady.of(
                event, carrier=booking.carrier, tracking_number=booking.tracking_number
            ),
            ShippingFailed: lambda: ShippingFailed.of(event, reason=CancelReason.UNDELIVERABLE),
            ShippingCancelled: lambda: ShippingCancelled.of(event, reason=booking.cancel_reason),
        },
    )


async def cancel_shipment(
    event: OrderCancelRequested, shipment: Shipment
) -> list[ShippingCancelled | ShippingCancelRefused | ShippingFailed]:
    """Cancel an order that is not ready yet; the row that this locks decides for all services."""
    step = shipment.take(LIFECYCLE, event)
    if step.state == State.CANCELLED:
        shipment.cancel_reason = event.reason
        shipment.undo = True  # the carrier is fenced: a booking whose message crashed and was lost must not stay
    return shipment.answer(
        step,
        {
            ShippingCancelled: lambda: ShippingCancelled.of(event),
            ShippingCancelRefused: lambda: ShippingCancelRefused.of(event),
        },
    )
