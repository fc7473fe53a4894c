"""What the order API does with what the other services say: it keeps the facts."""

from sqlalchemy import or_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import (
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
    StockRecorded,
)
from messaging.outcome import Reject
from order_api.facts import Facts
from order_api.models import Order, Product

Outcome = (
    PaymentAuthorized
    | PaymentDeclined
    | PaymentCaptured
    | PaymentCaptureFailed
    | PaymentVoided
    | InventoryReserved
    | InventoryRejected
    | InventoryReleased
    | InventoryShipped
    | ShippingReady
    | ShippingFailed
    | ShippingCancelled
    | ShippingCancelRefused
)
"""Every event about an order that another service says."""


async def record_fact(event: Outcome, order: Order | None, db: AsyncSession) -> None:
    """Put what happened on the order's timeline, once, and see where the order stands."""
    if order is None:
        raise Reject(f"unknown order {event.order_id}")
    order.record(event, Facts.of(db))


async def record_stock(event: StockRecorded, db: AsyncSession) -> None:
    """Show what can be sold since a receipt of goods was booked; what is not in the catalogue is shown nowhere."""
    newer = or_(col(Product.available_at).is_(None), col(Product.available_at) <= event.occurred_at)
    await db.exec(
        update(Product)
        .where(col(Product.sku) == event.sku, newer)
        .values(available=event.available, available_at=event.occurred_at)
    )
