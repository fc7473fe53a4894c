"""What the services say to each other: immutable, typed events, one module per producer.

Imports pydantic only. `EVENTS` maps each event's name to its class.
"""

from contracts.event import Event, OrderEvent
from contracts.inventory import (
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    StockRecorded,
)
from contracts.order_api import OrderCancelRequested, OrderCreated, StockReceived
from contracts.payment import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
)
from contracts.replay import Effect, ReplayHandled
from contracts.shipping import ShippingCancelled, ShippingCancelRefused, ShippingFailed, ShippingReady
from contracts.values import Address, CancelReason, DeclineReason, Money, OrderLine, Shortage

PRODUCERS: dict[str, tuple[type[Event], ...]] = {
    "order_api": (OrderCreated, OrderCancelRequested, StockReceived),
    "payment": (PaymentAuthorized, PaymentDeclined, PaymentCaptured, PaymentCaptureFailed, PaymentVoided),
    "inventory": (InventoryReserved, InventoryRejected, InventoryReleased, InventoryShipped, StockRecorded),
    "shipping": (ShippingReady, ShippingFailed, ShippingCancelled, ShippingCancelRefused),
}
"""Which service publishes which events; each of these has one producer."""

RECEIPT = ReplayHandled
"""What every service publishes besides, of messages that it was sent again by hand."""

EVENTS: dict[str, type[Event]] = {
    event.name: event for event in (*(event for events in PRODUCERS.values() for event in events), RECEIPT)
}

__all__ = [
    "EVENTS",
    "PRODUCERS",
    "RECEIPT",
    "Address",
    "CancelReason",
    "DeclineReason",
    "Effect",
    "Event",
    "InventoryRejected",
    "InventoryReleased",
    "InventoryReserved",
    "InventoryShipped",
    "Money",
    "OrderCancelRequested",
    "OrderCreated",
    "OrderEvent",
    "OrderLine",
    "PaymentAuthorized",
    "PaymentCaptureFailed",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentVoided",
    "ReplayHandled",
    "ShippingCancelRefused",
    "ShippingCancelled",
    "ShippingFailed",
    "ShippingReady",
    "Shortage",
    "StockReceived",
    "StockRecorded",
]
