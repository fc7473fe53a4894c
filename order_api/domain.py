"""The order API's rules: what the facts say about an order, and what an order costs."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from contracts import (
    CancelReason,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    Money,
    OrderLine,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
)

MAX_LINES = 100
MAX_QUANTITY = 10_000
"""Pieces of one product in one order."""
MAX_TOTAL = 10**15
"""Minor units; far below what a 64-bit integer holds."""


class Status(StrEnum):
    """Where an order stands, for its customer."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    RESERVED = "reserved"
    CANCELLING = "cancelling"
    READY = "ready"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether no later fact changes it."""
        return self in FINAL


FINAL = frozenset({Status.READY, Status.REJECTED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Rule:
    """The status of an order that has any of these facts, unless an earlier rule applies."""

    facts: frozenset[str]
    status: Status


RULES = (
    Rule(frozenset({ShippingReady.name, PaymentCaptured.name}), Status.READY),
    Rule(frozenset({PaymentDeclined.name}), Status.REJECTED),
    Rule(frozenset({PaymentVoided.name}), Status.CANCELLED),
    Rule(
        frozenset({ShippingCancelled.name, ShippingFailed.name, InventoryRejected.name, InventoryReleased.name}),
        Status.CANCELLING,
    ),
    Rule(frozenset({InventoryReserved.name}), Status.RESERVED),
    Rule(frozenset({PaymentAuthorized.name}), Status.AUTHORIZED),
)
"""In order of precedence; without any of these facts an order is pending."""

GIVES_REASON = {Status.REJECTED: PaymentDeclined.name, Status.CANCELLED: PaymentVoided.name}
"""The fact that says why an order ended without its goods."""


def status_of(facts: AbstractSet[str]) -> Status:
    """Return the status that a set of facts gives; their order and number of arrivals cannot matter."""
    return next((rule.status for rule in RULES if not rule.facts.isdisjoint(facts)), Status.PENDING)


def settled(facts: AbstractSet[str]) -> bool:
    """Tell whether nothing is left to do: money and goods are where they belong for good."""
    return (
        PaymentDeclined.name in facts
        or PaymentVoided.name in facts
        or facts >= {PaymentCaptured.name, InventoryShipped.name}
    )


def contradictory(facts: AbstractSet[str]) -> bool:
    """Tell whether the facts speak for two final statuses: unreachable by the life cycle, so something is broken."""
    return sum(rule.status.final and not rule.facts.isdisjoint(facts) for rule in RULES) > 1


MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order may be on its way before something is done about it. Durations are seconds."""

    first: float
    """Until its first event is said again; each further wait is twice the one before."""
    longest: float
    """No wait is longer."""
    redrives: int
    """Re-drives that may be in vain; then its cancellation is asked for."""
    expiry: float
    """From its acceptance until its cancellation is asked for, however it was re-driven."""

    def deadline(self, now: datetime, accepted_at: datetime, redrives: int) -> datetime:
        """Return when an order that was re-driven so many times is overdue: not after its expiry, if that is ahead."""
        wait = min(self.first * 2.0 ** min(redrives, MOST_DOUBLINGS), self.longest)
        due, expires = now + timedelta(seconds=wait), accepted_at + timedelta(seconds=self.expiry)
        return min(due, expires) if expires > now else due

    def exhausted(self, now: datetime, accepted_at: datetime, redrives: int) -> CancelReason | None:
        """Return why an order that is not final should wait no longer; None if it may."""
        if now - accepted_at >= timedelta(seconds=self.expiry):
            return CancelReason.EXPIRY
        return CancelReason.DEADLINE if redrives >= self.redrives else None


class Refusal(StrEnum):
    """Why wanted lines make no order."""

    UNKNOWN_SKU = "unknown-sku"
    OTHER_CURRENCY = "other-currency"
    TOO_MANY = "too-many"
    TOO_EXPENSIVE = "too-expensive"


class Unpriceable(Exception):  # noqa: N818 - a refusal, not a failure
    """The wanted lines make no order. `line` is the index of the one to blame, None for all together."""

    def __init__(self, refusal: Refusal, line: int | None) -> None:
        super().__init__(refusal)
        self.refusal = refusal
        self.line = line


@dataclass(frozen=True, slots=True)
class Basket:
    """Lines at the shop's prices, one for each product, and their sum."""

    lines: tuple[OrderLine, ...]
    total: Money


def price(wanted: Sequence[tuple[str, int]], currency: str, prices: Mapping[str, Money]) -> Basket:
    """Price these (sku, quantity) pairs; lines of the same product are merged, in order of first mention.

    The total is the sum of unit price times quantity, in minor units. Raises Unpriceable for an unknown product, one
    that is sold in another currency, more than MAX_QUANTITY of one, and a total above MAX_TOTAL.
    """
    quantities: dict[str, int] = {}
    for line, (sku, quantity) in enumerate(wanted):
        unit = prices.get(sku)
        if unit is None:
            raise Unpriceable(Refusal.UNKNOWN_SKU, line)
        if unit.currency != currency:
            raise Unpriceable(Refusal.OTHER_CURRENCY, line)
        quantities[sku] = quantities.get(sku, 0) + quantity
        if quantities[sku] > MAX_QUANTITY:
            raise Unpriceable(Refusal.TOO_MANY, line)
    total = sum(prices[sku].amount * quantity for sku, quantity in quantities.items())
    if total > MAX_TOTAL:
        raise Unpriceable(Refusal.TOO_EXPENSIVE, None)
    lines = (
        OrderLine(sku=sku, quantity=quantity, unit_price=prices[sku].amount) for sku, quantity in quantities.items()
    )
    return Basket(tuple(lines), Money(amount=total, currency=currency))
