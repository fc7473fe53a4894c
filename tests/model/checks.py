"""What must hold: in every state, in every state at rest, and when nothing was held up."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import combinations

from contracts import (
    InventoryRejected,
    InventoryReleased,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
)
from order_api.domain import Status, contradictory, settled
from payment.domain import State as Payment
from shipping.domain import State as Shipment
from tests.model.remote import Account, Parcel
from tests.model.system import Shop

Facts = AbstractSet[str]
StatusOf = Callable[[Facts], Status]

ENDS = frozenset({PaymentCaptured.name, PaymentVoided.name, PaymentDeclined.name})
COMPENSATION = frozenset(
    event.name
    for event in (
        InventoryRejected,
        InventoryReleased,
        PaymentDeclined,
        PaymentVoided,
        ShippingCancelled,
        ShippingFailed,
    )
)


def always(shop: Shop, facts: Facts) -> Iterator[str]:
    """Name what no state may show."""
    if len(facts & ENDS) > 1:
        yield f"two ends: {sorted(facts & ENDS)}"
    if ShippingReady.name in facts and facts & COMPENSATION:
        yield f"ready together with {sorted(facts & COMPENSATION)}"
    if ShippingCancelRefused.name in facts and facts & COMPENSATION:
        yield f"cancel refused together with {sorted(facts & COMPENSATION)}"
    if contradictory(facts):
        yield "the facts speak for two final statuses"
    if shop.account is Account.CAPTURED and shop.payment == Payment.VOIDED:
        yield "money taken of an order that was voided"
    if shop.account is Account.CAPTURED and shop.shipping != Shipment.READY:
        yield "money taken before the parcel was ready"
    if (shop.reserved, shop.shipped) not in {(0, 0), (1, 0), (0, 1)}:
        yield f"stock moved twice: {shop.reserved} reserved, {shop.shipped} shipped"


def at_rest(shop: Shop, facts: Facts, status_of: StatusOf) -> Iterator[str]:
    """Name what a final status promises and a state at rest breaks, even when a message is held up."""
    status = status_of(facts)
    if status is Status.CANCELLED and shop.account is Account.CAPTURED:
        yield "cancelled, but the money was taken"
    if status is Status.CANCELLED and shop.reserved + shop.shipped:
        yield "cancelled, but goods are reserved or shipped"
    if status is Status.REJECTED and shop.account is not Account.DECLINED:
        yield f"rejected, but the account is {shop.account}"
    if status in {Status.CANCELLED, Status.REJECTED} and shop.parcel is Parcel.BOOKED:
        yield f"{status}, but the carrier has a booking"
    yield from (f"final status changes: {early} to {status}" for early in unstable(frozenset(facts), status_of))


@cache
def unstable(facts: frozenset[str], status_of: StatusOf) -> frozenset[Status]:
    """Find the final statuses that order_api shows, for some order of arrival, before it shows another."""
    status = status_of(facts)
    parts = (frozenset(part) for size in range(len(facts) + 1) for part in combinations(sorted(facts), size))
    return frozenset(early for early in map(status_of, parts) if early.final and early is not status)


def complete(shop: Shop, facts: Facts, status_of: StatusOf) -> Iterator[str]:
    """Name what is left undone although every message was handled."""
    status = status_of(facts)
    if not status.final:
        yield f"not final at rest: {status}"
        return
    overdue = PaymentCaptureFailed.name in facts and PaymentCaptured.name not in facts
    if not settled(facts) and not overdue:
        yield f"{status}, but not settled"
    if shop.account is Account.HELD or (shop.account is Account.EXPIRED and status is Status.READY):
        yield f"{status}, but money is still held"
    if status is not Status.READY:
        return
    if shop.account is not Account.CAPTURED and not overdue:
        yield f"ready, but the account is {shop.account}"
    if shop.parcel is not Parcel.BOOKED:
        yield f"ready, but the parcel is {shop.parcel}"
    if shop.shipped != 1:
        yield "ready, but the goods did not leave"
