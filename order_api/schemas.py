"""What goes in and out over HTTP. Separate from the events: the two change for different reasons."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts import Address, OrderCreated
from contracts.personal import PERSONAL, Discreet
from contracts.values import CurrencyCode, MinorUnits, Quantity, Sku
from order_api.domain import MAX_LINES, MAX_QUANTITY, Status
from order_api.listing import Page
from order_api.models import Fact, Order, Product
from rest.fields import NO_CONTROL_CHARACTERS, Moment

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_CONTROL_CHARACTERS)]
AddressText = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_CONTROL_CHARACTERS)]

EXAMPLE_ORDER: dict[str, Any] = {
    "customer_id": "c-42",
    "currency": "EUR",
    "items": [{"sku": "MUG-01", "quantity": 2}],
    "payment_token": "tok_ok",
    "shipping_address": {
        "name": "Ada",
        "line1": "1 Main St",
        "city": "Berlin",
        "postal_code": "10115",
        "country": "DE",
    },
}
_EXAMPLE_ID = "0192f5a0-7b1c-7000-8000-00000000002a"
_EXAMPLE_VIEW: dict[str, Any] = {
    "order_id": _EXAMPLE_ID,
    "status": "ready",
    "settled": True,
    "reason": None,
    "cancel_requested": False,
    "customer_id": "c-42",
    "currency": "EUR",
    "total": 2580,
    "items": [{"sku": "MUG-01", "quantity": 2, "unit_price": 1290}],
    "created_at": "2026-11-02T09:30:00Z",
    "updated_at": "2026-11-02T09:30:00.412Z",
}


class Wish(Discreet):
    """A body that a client sends: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WantedItem(Wish):
    """A product, and how much of it."""

    sku: Sku
    quantity: Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY, description="Number of pieces.")]


class ShippingAddress(Wish):
    """Where the parcel goes."""

    name: Annotated[AddressText, Field(json_schema_extra=PERSONAL)]
    line1: Annotated[AddressText, Field(json_schema_extra=PERSONAL)]
    line2: Annotated[AddressText | None, Field(json_schema_extra=PERSONAL)] = None
    city: Annotated[AddressText, Field(json_schema_extra=PERSONAL)]
    postal_code: Annotated[
        str, Field(min_length=1, max_length=16, pattern=NO_CONTROL_CHARACTERS, json_schema_extra=PERSONAL)
    ]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code.")]

    def as_said(self) -> Address:
        """Return the address as events carry it."""
        return Address.model_validate(self, from_attributes=True)


class PlaceOrder(Wish):
    """An order to be placed. Prices and totals are the shop's; lines of the same product are added up."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ORDER]})

    customer_id: Annotated[
        Name, Field(description="The client's own reference of its customer.", json_schema_extra=PERSONAL)
    ]
    currency: Annotated[CurrencyCode, Field(description="ISO 4217 code; every product must be priced in it.")]
    items: Annotated[list[WantedItem], Field(min_length=1, max_length=MAX_LINES)]
    payment_token: Annotated[
        Name, Field(description="What the card gateway knows the card by.", json_schema_extra=PERSONAL)
    ]
    shipping_address: ShippingAddress


class Item(BaseModel):
    """A line of an accepted order."""

    sku: str
    quantity: int
    unit_price: Annotated[int, Field(description="In minor units, as it was when the order was accepted.")]


class OrderView(Discreet):
    """An order, as it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_VIEW]})

    order_id: UUID
    status: Annotated[Status, Field(description="`ready`, `rejected` and `cancelled` are final.")]
    settled: Annotated[bool, Field(description="Whether money and goods are where they belong for good.")]
    reason: Annotated[str | None, Field(description="Why the order was rejected or cancelled.")]
    cancel_requested: Annotated[
        bool, Field(description="Whether its cancellation was asked for; the status tells what became of it.")
    ]
    customer_id: Annotated[str, Field(json_schema_extra=PERSONAL)]
    currency: str
    total: Annotated[int, Field(description="In the currency's minor units (cents; yen have none).")]
    items: list[Item]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def accepted(cls, event: OrderCreated) -> "OrderView":
        """Show an order of which nothing is known but that it was accepted."""
        return cls(
            order_id=event.order_id,
            status=Status.PENDING,
            settled=False,
            reason=None,
            cancel_requested=False,
            customer_id=event.customer_id,
            currency=event.total.currency,
            total=event.total.amount,
            items=[Item.model_validate(line, from_attributes=True) for line in event.items],
            created_at=event.occurred_at,
            updated_at=event.occurred_at,
        )

    @classmethod
    def of(cls, order: Order) -> "OrderView":
        """Show an order with what is known about it."""
        return cls(
            order_id=order.order_id,
            status=order.status,
            settled=order.settled,
            reason=order.reason,
            cancel_requested=order.cancel_requested is not None,
            customer_id=order.customer_id,
            currency=order.currency,
            total=order.total,
            items=[Item.model_validate(line) for line in order.items],
            created_at=order.created_at,
            updated_at=order.updated_at,
        )


class OrderQuery(BaseModel):
    """Which orders to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="Orders on a page.")] = 20
    cursor: Annotated[str | None, Field(max_length=64, description="The `next_cursor` of the page before; opaque.")] = (
        None
    )
    status: Annotated[list[Status], Field(description="Only orders with one of these statuses.")] = []
    customer_id: Annotated[Name | None, Field(description="Only this customer's orders.")] = None
    created_from: Annotated[Moment | None, Field(description="Only orders created then or later.")] = None
    created_before: Annotated[Moment | None, Field(description="Only orders created before then.")] = None


class OrderList(BaseModel):
    """A page of orders, newest first."""

    orders: list[OrderView]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last.")]

    @classmethod
    def of(cls, page: Page) -> "OrderList":
        """Show a page."""
        return cls(
            orders=[OrderView.of(order) for order in page.orders],
            next_cursor=None if page.next is None else str(page.next),
        )


class Entry(BaseModel):
    """Something that happened to an order."""

    event: Annotated[str, Field(description="The event's name.", examples=["payment.authorized"])]
    occurred_at: Annotated[datetime, Field(description="When it happened, by the clock of the service that says so.")]
    recorded_at: Annotated[datetime, Field(description="When the order API heard of it.")]
    actor: Annotated[str, Field(description="The service that said so, or who asked for it.", examples=["payment"])]
    status_before: Annotated[Status | None, Field(description="The order's status until then; null at its creation.")]
    status_after: Annotated[Status, Field(description="The order's status since then.")]
    detail: dict[str, Any]

    @classmethod
    def of(cls, fact: Fact) -> "Entry":
        """Show a fact."""
        return cls(
            event=fact.name,
            occurred_at=fact.occurred_at,
            recorded_at=fact.recorded_at,
            actor=fact.actor,
            status_before=None if fact.status_before is None else Status(fact.status_before),
            status_after=Status(fact.status_after),
            detail=fact.detail,
        )


class Anomaly(BaseModel):
    """Something that should not have been said of an order as it stood. It was noted, and changed nothing."""

    event: str
    event_id: UUID
    state: Annotated[Status, Field(description="The order's status when it was said.")]


class TimelineView(BaseModel):
    """What happened to an order so far, in the order in which it happened."""

    order_id: UUID
    status: Status
    settled: bool
    entries: list[Entry]
    anomalies: list[Anomaly]

    @classmethod
    def of(cls, order: Order) -> "TimelineView":
        """Show the order's creation and all else, sorted by the time at which it happened."""
        creation, *others = sorted(
            order.facts, key=lambda fact: (fact.name != OrderCreated.name, fact.occurred_at, fact.position or 0)
        )
        return cls(
            order_id=order.order_id,
            status=order.status,
            settled=order.settled,
            entries=[Entry.of(fact) for fact in (creation, *others)],
            anomalies=[Anomaly.model_validate(note) for note in order.anomalies],
        )


class Reached(BaseModel):
    """Ends a live timeline: the order has its final status."""

    status: Status


class ReceiveStock(Wish):
    """Goods that arrived in the warehouse."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": 24}]})

    quantity: Annotated[Quantity, Field(strict=True)]


class ReceiptView(BaseModel):
    """A receipt of goods that inventory is told of."""

    receipt_id: UUID
    sku: str
    quantity: int
    received_at: datetime


class ProductView(BaseModel):
    """Something that can be ordered."""

    sku: Sku
    name: str
    price: Annotated[MinorUnits, Field(description="Of one piece, in the currency's minor units.")]
    currency: CurrencyCode
    available: Annotated[int | None, Field(description="Pieces at the last receipt of goods; null if not known.")]

    @classmethod
    def all_of(cls, products: Sequence[Product]) -> "list[ProductView]":
        """Show products."""
        return [
            cls(sku=each.sku, name=each.name, price=each.price, currency=each.currency, available=each.available)
            for each in products
        ]
