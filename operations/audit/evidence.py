"""What the services have of one order, as it was read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

Pieces = Mapping[str, int]
"""How many of each sku."""
Ids = Mapping[str, str]
"""The id of each event, by the event's name."""


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order, as the order API has it."""

    order_id: UUID
    state: str
    currency: str
    total: int
    pieces: Pieces
    created_at: datetime
    updated_at: datetime
    """When the last fact came, or its cancellation was asked for."""
    next_deadline: datetime | None
    facts: Ids
    said: Ids
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Payment:
    """Its row in payment."""

    state: str
    amount: int | None
    currency: str | None
    said: Ids
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What the card gateway holds under its key."""

    status: str
    amount: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Its row in inventory."""

    state: str
    pieces: Pieces
    said: Ids
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Shipment:
    """Its row in shipping."""

    state: str
    undo: bool
    said: Ids
    anomalous: bool


@dataclass(frozen=True, slots=True)
class Case:
    """All evidence about one order. None where a service has no row, or a remote end no account."""

    order: Order
    payment: Payment | None
    account: Account | None
    reservation: Reservation | None
    shipment: Shipment | None
    booking: str | None
    """The status of the carrier's booking."""
    gateway_read: bool = True
    carrier_read: bool = True
    """Whether the remote ends' ledgers could be read: a real one is out of reach."""

    @property
    def over(self) -> bool:
        """Whether it ended without its goods, as its facts say."""
        return not self.order.facts.keys().isdisjoint({"payment.declined", "payment.voided"})

    @property
    def authorized(self) -> bool:
        """Whether anybody knows that its money was held."""
        name = "payment.authorized"
        return name in self.order.facts or (self.payment is not None and name in self.payment.said)

    @property
    def ledger(self) -> str | None:
        """Where its money is: by the gateway if that can be read, else by payment."""
        if self.gateway_read:
            return self.account.status if self.account else None
        return self.payment.state if self.payment else None

    @property
    def held(self) -> int:
        """How much money its ledger names, in minor units."""
        ledger = self.account if self.gateway_read else self.payment
        return (ledger and ledger.amount) or 0


def pieces(lines: Iterable[Mapping[str, Any]]) -> Pieces:
    """Add up lines, by sku."""
    total: Counter[str] = Counter()
    for line in lines:
        total[line["sku"]] += line["quantity"]
    return dict(total)
