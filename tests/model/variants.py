"""Plausible wrong systems: each is the real one with one thing changed."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from contracts import (
    InventoryRejected,
    InventoryReleased,
    OrderCancelRequested,
    OrderCreated,
    OrderEvent,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
)
from inventory.domain import LIFECYCLE as INVENTORY
from inventory.domain import State as Reservation
from messaging.lifecycle import Cell, Lifecycle, again, to
from order_api.domain import RULES, Status, status_of
from payment.domain import LIFECYCLE as PAYMENT
from payment.domain import State as Payment
from payment.domain import Verdict as Card
from shipping.domain import LIFECYCLE as SHIPPING
from shipping.domain import State as Shipment
from shipping.domain import Verdict as Carrier
from tests.model.system import System

Changes = Mapping[tuple[type[OrderEvent], str], Cell]

_UNDONE = frozenset({InventoryRejected, InventoryReleased, PaymentVoided, ShippingCancelled, ShippingFailed})


@dataclass(frozen=True)
class Variant:
    """A wrong system and a part of what must be found wrong with it."""

    name: str
    system: System
    fault: str

    def __str__(self) -> str:
        """Name it for a test's id."""
        return self.name.replace(" ", "_")


def changed(lifecycle: Lifecycle, changes: Changes) -> Lifecycle:
    """The table with these cells instead."""
    table = {event: dict(row) for event, row in lifecycle.table.items()}
    for (event, state), cell in changes.items():
        table[event][state] = cell
    return Lifecycle(table)


def naive_status(facts: AbstractSet[str]) -> Status:
    """Any trace of a compensation is a cancellation, and it comes before the card's answer."""
    if not RULES[0].facts.isdisjoint(facts):
        return Status.READY
    return Status.CANCELLED if any(event.name in facts for event in _UNDONE) else status_of(facts)


def never_undo(_state: str, _verdict: Carrier) -> bool:
    """A booking that met a cancellation is left alone."""
    return False


_SILENT_TOMBSTONE = changed(
    PAYMENT,
    {
        (InventoryReleased, Payment.NEW): to(Payment.VOIDED),
        (OrderCreated, Payment.VOIDED): again(),
        (InventoryReleased, Payment.VOIDED): again(),
    },
)
_NO_CAPTURE_FAILED = changed(
    PAYMENT,
    {(ShippingReady, Payment.AUTHORIZED): {Card.CAPTURED: PAYMENT.step("authorized", ShippingReady, "captured")}},
)
_VOID_OF_A_DECLINED = changed(PAYMENT, {(InventoryReleased, Payment.DECLINED): again(PaymentVoided)})
_REFUSAL_AFTER_FAILURE = changed(SHIPPING, {(OrderCancelRequested, Shipment.FAILED): again(ShippingCancelRefused)})
_DECLINE_FORGOTTEN = changed(PAYMENT, {(OrderCreated, Payment.VOIDED): to(Payment.DECLINED, PaymentDeclined)})
_RESERVED_AFTER_RELEASE = changed(
    INVENTORY, {(PaymentAuthorized, Reservation.RELEASED): INVENTORY.step("new", PaymentAuthorized, "in_stock")}
)

VARIANTS = (
    Variant("void is no fence", System(fence=False), "money is still held"),
    Variant("void only of an authorized row", System(fence=False, void_is_prepared=False), "money is still held"),
    Variant(
        "no undo of a late booking", System(must_undo=never_undo, cancel_fences=False), "the carrier has a booking"
    ),
    Variant("inventory expires by itself", System(reservations_expire=True), "ready together with"),
    Variant("tombstones in a table of their own", System(tombstones_apart=True), "both written"),
    Variant("naive status", System(status=naive_status), "final status changes"),
    Variant("silent payment tombstone", System(payment=_SILENT_TOMBSTONE), "not final at rest"),
    Variant("no capture_failed", System(payment=_NO_CAPTURE_FAILED), "anomaly: payment.shipping.ready met authorized"),
    Variant("voided after declined", System(payment=_VOID_OF_A_DECLINED), "two ends"),
    Variant("cancel refused after a failure", System(shipping=_REFUSAL_AFTER_FAILURE), "cancel refused together"),
    Variant("declined after voided", System(payment=_DECLINE_FORGOTTEN), "two ends"),
    Variant("reserved after released", System(inventory=_RESERVED_AFTER_RELEASE), "goods are reserved"),
)

NO_RESAY = changed(INVENTORY, {(PaymentAuthorized, Reservation.SHIPPED): again()})
"""Inventory stays silent about an order that is shipped: a wave ends there."""
