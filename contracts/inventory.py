"""Events that inventory publishes."""

from typing import Annotated, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import Field

from contracts.event import Event, OrderEvent
from contracts.order_api import StockReceived
from contracts.payment import PaymentAuthorized
from contracts.values import Address, CancelReason, OrderLine, Shortage, Sku, Stocked

Lines = Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=100)]


class InventoryReserved(OrderEvent):
    """Every line of the order is set aside."""

    name: ClassVar[str] = "inventory.reserved"

    items: Lines
    shipping_address: Address

    @classmethod
    def example(cls) -> Self:
        """The example order's reservation."""
        cause = PaymentAuthorized.example()
        return cls.of(cause, occurred_at=cause.occurred_at)


class InventoryRejected(OrderEvent):
    """The stock does not cover every line, so nothing was reserved."""

    name: ClassVar[str] = "inventory.rejected"

    reason: CancelReason
    shortages: Annotated[tuple[Shortage, ...], Field(min_length=1, max_length=100)]

    @classmethod
    def example(cls) -> Self:
        """One mug was left."""
        cause = PaymentAuthorized.example()
        return cls.of(
            cause,
            reason=CancelReason.OUT_OF_STOCK,
            shortages=(Shortage(sku="MUG-01", requested=2, available=1),),
            occurred_at=cause.occurred_at,
        )


class InventoryReleased(OrderEvent):
    """Nothing is reserved for the order any more, and nothing ever will be."""

    name: ClassVar[str] = "inventory.released"

    reason: CancelReason

    @classmethod
    def example(cls) -> Self:
        """The customer cancelled."""
        cause = PaymentAuthorized.example()
        return cls.of(cause, reason=CancelReason.CUSTOMER, occurred_at=cause.occurred_at)


class InventoryShipped(OrderEvent):
    """The reserved goods left the warehouse."""

    name: ClassVar[str] = "inventory.shipped"

    items: Lines

    @classmethod
    def example(cls) -> Self:
        """The example order's goods."""
        cause = PaymentAuthorized.example()
        return cls.of(cause, occurred_at=cause.occurred_at)


class StockRecorded(Event):
    """A receipt of goods was booked, once; says what the stock is since then."""

    name: ClassVar[str] = "stock.recorded"

    receipt_id: UUID = Field(description="The event id of the stock.received that it answers.")
    sku: Sku
    on_hand: Stocked
    available: Stocked

    @classmethod
    def id_for(cls, receipt_id: UUID) -> UUID:
        """The id of the answer to that receipt (RFC 9562, version 5)."""
        return uuid5(receipt_id, cls.name)

    @classmethod
    def example(cls) -> Self:
        """A carton of mugs, booked."""
        receipt = StockReceived.example()
        return cls(
            event_id=cls.id_for(receipt.event_id),
            occurred_at=receipt.occurred_at,
            receipt_id=receipt.event_id,
            sku=receipt.sku,
            on_hand=124,
            available=120,
        )
