"""Events that the order API publishes."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field

from contracts.event import Event, OrderEvent
from contracts.personal import PERSONAL
from contracts.values import Address, CancelReason, Money, OrderLine, Quantity, Sku

EXAMPLE_ORDER_ID = UUID("0192f5a0-7b1c-7000-8000-00000000002a")
EXAMPLE_MOMENT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class OrderCreated(OrderEvent):
    """A customer's order was accepted: from here on it is carried to exactly one final state."""

    name: ClassVar[str] = "order.created"

    customer_id: Annotated[str, Field(min_length=1, max_length=64, json_schema_extra=PERSONAL)]
    items: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=100)]
    total: Money
    payment_token: Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={**PERSONAL, "x-secret": True})]
    shipping_address: Address

    @classmethod
    def example(cls) -> Self:
        """Two mugs for Ada, paid by a card that works."""
        return cls(
            event_id=cls.id_for(EXAMPLE_ORDER_ID),
            order_id=EXAMPLE_ORDER_ID,
            occurred_at=EXAMPLE_MOMENT,
            customer_id="c-42",
            items=(OrderLine(sku="MUG-01", quantity=2, unit_price=1290),),
            total=Money(amount=2580, currency="EUR"),
            payment_token="tok_ok",  # noqa: S106 - a test token of the simulated gateway
            shipping_address=Address.example(),
        )


class OrderCancelRequested(OrderEvent):
    """Somebody asked that the order be cancelled; shipping decides."""

    name: ClassVar[str] = "order.cancel_requested"

    reason: CancelReason

    @classmethod
    def example(cls) -> Self:
        """The customer changed their mind."""
        return cls(
            event_id=cls.id_for(EXAMPLE_ORDER_ID),
            order_id=EXAMPLE_ORDER_ID,
            occurred_at=EXAMPLE_MOMENT,
            reason=CancelReason.CUSTOMER,
        )


class StockReceived(Event):
    """Goods arrived in the warehouse. It belongs to no order; inventory keeps a receipt under its event id."""

    name: ClassVar[str] = "stock.received"

    sku: Sku
    quantity: Quantity

    @classmethod
    def example(cls) -> Self:
        """A carton of mugs."""
        return cls(
            event_id=UUID("0192f5a0-7b1c-7000-8000-00000000005c"),
            occurred_at=EXAMPLE_MOMENT,
            sku="MUG-01",
            quantity=24,
        )
