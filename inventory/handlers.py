"""What inventory does when it hears of an order, or of goods. The stock rows are locked before any of it runs."""

from datetime import UTC, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import (
    CancelReason,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    PaymentAuthorized,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
    StockReceived,
    StockRecorded,
)
from inventory.domain import LIFECYCLE, MOST_STOCKED, Cover, State, pieces, shortages
from inventory.models import Reservation
from inventory.stock import receipt_of, stock_of
from messaging.outcome import Reject


async def reserve_stock(
    event: PaymentAuthorized, reservation: Reservation, db: AsyncSession
) -> list[InventoryReserved | InventoryRejected | InventoryReleased]:
    """Set every line of the order aside, or nothing."""
    wanted = pieces(event.items)
    stock = stock_of(db, wanted)
    missing = shortages(wanted, {sku: row.available for sku, row in stock.items()})
    step = reservation.take(LIFECYCLE, event, Cover.OUT_OF_STOCK if missing else Cover.IN_STOCK)
    if step.state == State.RESERVED:
        reservation.hold(event.items)
        for sku, quantity in wanted.items():
            stock[sku].reserve(quantity)
    return reservation.answer(
        step,
        {
            InventoryReserved: lambda: InventoryReserved.of(event),
            InventoryRejected: lambda: InventoryRejected.of(event, reason=CancelReason.OUT_OF_STOCK, shortages=missing),
        },
    )


async def release_stock(
    event: ShippingCancelled | ShippingFailed, reservation: Reservation, db: AsyncSession
) -> list[InventoryReleased | InventoryRejected]:
    """Put back what is reserved, or make sure that nothing ever is."""
    held = pieces(reservation.lines)
    step = reservation.take(LIFECYCLE, event)
    if step.state == State.RELEASED:
        stock = stock_of(db, held)
        for sku, quantity in held.items():
            stock[sku].release(quantity)
    return reservation.answer(step, {InventoryReleased: lambda: InventoryReleased.of(event)})


async def ship_stock(event: ShippingReady, reservation: Reservation, db: AsyncSession) -> list[InventoryShipped]:
    """Hand the reserved pieces to the carrier."""
    held = pieces(reservation.lines)
    step = reservation.take(LIFECYCLE, event)
    if step.state == State.SHIPPED:
        stock = stock_of(db, held)
        for sku, quantity in held.items():
            stock[sku].ship(quantity)
    return reservation.answer(step, {InventoryShipped: lambda: InventoryShipped.of(event, items=reservation.lines)})


async def record_receipt(event: StockReceived, db: AsyncSession) -> StockRecorded:
    """Put goods that arrived on the shelf, once; a repeat gets the first answer."""
    receipt, stock = receipt_of(db, event.event_id), stock_of(db, [event.sku])[event.sku]
    if (receipt.sku, receipt.quantity) != (event.sku, event.quantity):
        raise Reject(f"receipt {event.event_id} was already booked for other goods")
    if receipt.said:
        return StockRecorded.model_validate(receipt.said, strict=False)
    if stock.on_hand + event.quantity > MOST_STOCKED:
        raise Reject(f"receipt {event.event_id} brings {event.sku} to more than can be counted")
    stock.receive(event.quantity)
    answer = StockRecorded(
        event_id=StockRecorded.id_for(event.event_id),
        occurred_at=datetime.now(UTC),
        receipt_id=event.event_id,
        sku=event.sku,
        on_hand=stock.on_hand,
        available=stock.available,
    )
    receipt.said = answer.model_dump(mode="json")
    return answer
