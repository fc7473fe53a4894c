"""The system under exploration: the services' own tables, and what a handler does around them."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import contracts
from contracts import (
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    OrderCreated,
    OrderEvent,
    PaymentAuthorized,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
)
from inventory.domain import LIFECYCLE as INVENTORY
from inventory.domain import Cover
from inventory.domain import State as Reservation
from messaging.lifecycle import Lifecycle
from messaging.order_row import NEW
from messaging.topology import queue_name
from order_api.domain import Status, status_of
from payment.domain import LIFECYCLE as PAYMENT
from payment.domain import State as Payment
from shipping.domain import LIFECYCLE as SHIPPING
from shipping.domain import State as Shipment
from shipping.domain import Verdict, must_undo
from tests.model import remote
from tests.model.remote import Account, Environment, Parcel

OrderEventType = type[OrderEvent]

EVENTS: tuple[OrderEventType, ...] = tuple(
    event for event in contracts.EVENTS.values() if issubclass(event, OrderEvent)
)
ASKED: frozenset[OrderEventType] = frozenset({OrderCreated, contracts.OrderCancelRequested})
FACTS: tuple[OrderEventType, ...] = tuple(event for event in EVENTS if event not in ASKED)
"""What order_api hears from the other services; the rest it says itself."""

CALLS: dict[tuple[str, OrderEventType], str] = {
    ("payment", OrderCreated): "authorize",
    ("payment", InventoryRejected): "void",
    ("payment", InventoryReleased): "void",
    ("payment", ShippingReady): "capture",
    ("shipping", InventoryReserved): "book",
}
"""What is asked of a remote end, before the transaction, and by whom."""


class Delivery(NamedTuple):
    """One service's copy of an event."""

    service: str
    event: OrderEventType

    def __str__(self) -> str:
        """Name the queue that it comes from."""
        return queue_name(self.service, self.event.name)


COMPENSATION = frozenset(
    {
        Delivery("payment", InventoryRejected),
        Delivery("payment", InventoryReleased),
        Delivery("inventory", ShippingCancelled),
        Delivery("inventory", ShippingFailed),
    }
)
"""The queues that undo something."""


class Shop(NamedTuple):
    """Everything that lasts about one order: the rows of three services, money, parcel and stock."""

    payment: str = NEW
    inventory: str = NEW
    shipping: str = NEW
    undo: bool = False
    """Shipping's note that the carrier must be told of a cancellation."""
    account: Account = Account.UNKNOWN
    parcel: Parcel = Parcel.UNKNOWN
    lines: int = 0
    """Pieces that inventory's row lists: what a release puts back and a shipment takes away."""
    reserved: int = 0
    shipped: int = 0


class Outcome(NamedTuple):
    """What a committed delivery changed and said."""

    shop: Shop
    says: tuple[OrderEventType, ...]
    stays: bool = False
    """The row kept its state: everything said is said again."""
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """The services' tables and functions as they are; tests replace one of them to see that it matters."""

    payment: Lifecycle = PAYMENT
    inventory: Lifecycle = INVENTORY
    shipping: Lifecycle = SHIPPING
    status: Callable[[AbstractSet[str]], Status] = status_of
    must_undo: Callable[[str, Verdict], bool] = must_undo
    fence: bool = True
    """A void of a key that the gateway does not know closes it."""
    void_is_prepared: bool = True
    """The gateway is asked to void whatever the row says; otherwise only when the row is authorized."""
    reservations_expire: bool = False
    """Inventory lets go of a reservation by itself."""
    cancel_fences: bool = True
    """Shipping tells the carrier of every cancellation, not only of a booking that it saw come too late."""
    tombstones_apart: bool = False
    """Inventory reads, then writes, reservations and tombstones as two tables under READ COMMITTED."""

    @property
    def tables(self) -> Mapping[str, Lifecycle]:
        """Each service's table."""
        return {"payment": self.payment, "inventory": self.inventory, "shipping": self.shipping}

    def deliveries(self, events: Iterable[OrderEventType]) -> tuple[Delivery, ...]:
        """Every service's copies of these events: a service hears what its table has a column for."""
        return tuple(
            Delivery(service, event)
            for event in events
            for service, lifecycle in self.tables.items()
            if event in lifecycle.table
        )

    def call_of(self, delivery: Delivery) -> str | None:
        """Name the remote call that is made before the delivery is handled."""
        call = CALLS.get(delivery)
        return None if call == "void" and not self.void_is_prepared else call

    def call(self, shop: Shop, delivery: Delivery, environment: Environment) -> tuple[Shop, str | None]:
        """Make the remote call, if there is one: what it leaves behind, and the evidence."""
        account, parcel = shop.account, shop.parcel
        match self.call_of(delivery):
            case "authorize":
                account, evidence = remote.authorize(account, environment)
            case "void":
                account, evidence = remote.void(account, fence=self.fence)
            case "capture":
                account, evidence = remote.capture(account, environment)
            case "book":
                parcel, evidence = remote.book(parcel, environment)
            case _:
                return shop, None
        return shop._replace(account=account, parcel=parcel), evidence

    def handle(self, shop: Shop, delivery: Delivery, evidence: str | None, environment: Environment) -> Outcome:
        """Let the service's table decide, and do what its handler does about it."""
        if delivery.event is PaymentAuthorized:  # inventory sees the stock in the transaction itself
            evidence = Cover.IN_STOCK if environment.in_stock else Cover.OUT_OF_STOCK
        state: str = getattr(shop, delivery.service)
        step = self.tables[delivery.service].step(state, delivery.event, evidence)
        if step.anomaly:
            return Outcome(shop, (), stays=True, complaints=(f"anomaly: {delivery} met {state} with {evidence}",))
        if step.state is not None:
            shop = self._enter(shop._replace(**{delivery.service: step.state}), delivery.service, state)
        if (
            delivery.event is InventoryReserved
            and evidence is not None
            and self.must_undo(shop.shipping, Verdict(evidence))
        ):
            shop = shop._replace(undo=True)
        return Outcome(shop, step.says, stays=step.state is None)

    def _enter(self, shop: Shop, service: str, before: str) -> Shop:
        """Do what the handler does besides moving the row: of payment's and shipping's, only what a variant changes."""
        match service, getattr(shop, service):
            case "payment", Payment.VOIDED if before == Payment.AUTHORIZED and not self.void_is_prepared:
                return shop._replace(account=Account.VOIDED)
            case "inventory", Reservation.RESERVED:
                return shop._replace(lines=1, reserved=shop.reserved + 1)
            case "inventory", Reservation.RELEASED:
                return shop._replace(reserved=shop.reserved - shop.lines)
            case "inventory", Reservation.SHIPPED:
                return shop._replace(reserved=shop.reserved - shop.lines, shipped=shop.shipped + shop.lines)
            case "shipping", Shipment.CANCELLED if self.cancel_fences:
                return shop._replace(undo=True)
            case _:
                return shop

    def two_transactions(self, delivery: Delivery) -> bool:
        """Whether the delivery is handled as a read and a later write of two tables."""
        return (
            self.tombstones_apart
            and delivery.service == "inventory"
            and delivery.event in {PaymentAuthorized, ShippingCancelled}
        )

    def write_apart(self, shop: Shop, delivery: Delivery, seen: str, environment: Environment) -> Outcome:
        """Write what followed from the state that was `seen`, whatever the state is by now."""
        outcome = self.handle(shop._replace(inventory=seen), delivery, None, environment)
        if outcome.stays or shop.inventory == seen:
            return outcome
        both = {shop.inventory, outcome.shop.inventory} == {Reservation.RESERVED, Reservation.RELEASED}
        return outcome._replace(complaints=("reservation and tombstone both written",) if both else ())
