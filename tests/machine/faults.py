"""Faults to be planted into the services, each plausible in a review, to see whether the machine finds them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlmodel.ext.asyncio.session import AsyncSession

import inventory.handlers
import messaging.entry
import messaging.outbox
import shipping.handlers
from contracts import (
    CancelReason,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    PaymentAuthorized,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
)
from inventory.domain import LIFECYCLE, Cover, pieces, shortages
from inventory.models import Reservation
from inventory.stock import stock_of
from messaging.entry import Entered, Wanted
from messaging.inbox import Key
from messaging.outbox import Outgoing
from shipping.gateway import Booking
from shipping.models import Shipment

Fault = Callable[[pytest.MonkeyPatch], None]


def forgets_to_put_back(patch: pytest.MonkeyPatch) -> None:
    """Inventory releases a reservation, and the pieces stay set aside."""

    async def release_stock(
        event: ShippingCancelled | ShippingFailed, reservation: Reservation
    ) -> list[InventoryReleased | InventoryRejected]:
        step = reservation.take(LIFECYCLE, event)
        return reservation.answer(step, {InventoryReleased: lambda: InventoryReleased.of(event)})

    patch.setattr(inventory.handlers, "release_stock", release_stock)


def trusts_the_inbox(patch: pytest.MonkeyPatch) -> None:
    """Inventory reserves whatever is new to the inbox, without a look at what the order's row remembers."""

    async def reserve_stock(
        event: PaymentAuthorized, reservation: Reservation, db: AsyncSession
    ) -> list[InventoryReserved | InventoryRejected]:
        wanted = pieces(event.items)
        stock = stock_of(db, wanted)
        missing = shortages(wanted, {sku: row.available for sku, row in stock.items()})
        step = reservation.take(LIFECYCLE, event, Cover.OUT_OF_STOCK if missing else Cover.IN_STOCK)
        if not missing:
            reservation.hold(event.items)
            for sku, quantity in wanted.items():
                stock[sku].reserve(quantity)
        return reservation.answer(
            step,
            {
                InventoryReserved: lambda: InventoryReserved.of(event),
                InventoryRejected: lambda: InventoryRejected.of(
                    event, reason=CancelReason.OUT_OF_STOCK, shortages=missing
                ),
            },
        )

    patch.setattr(inventory.handlers, "reserve_stock", reserve_stock)


def ships_twice(patch: pytest.MonkeyPatch) -> None:
    """Inventory takes the goods off the shelf each time that it hears the parcel is ready."""

    async def ship_stock(event: ShippingReady, reservation: Reservation, db: AsyncSession) -> list[InventoryShipped]:
        held = pieces(reservation.lines)
        step = reservation.take(LIFECYCLE, event)
        stock = stock_of(db, held)
        for sku, quantity in held.items():
            stock[sku].on_hand -= quantity
            stock[sku].shipped += quantity
            stock[sku].reserved -= min(quantity, stock[sku].reserved)
        return reservation.answer(step, {InventoryShipped: lambda: InventoryShipped.of(event, items=reservation.lines)})

    patch.setattr(inventory.handlers, "ship_stock", ship_stock)


def forgets_to_undo(patch: pytest.MonkeyPatch) -> None:
    """Shipping does not tell the carrier that a booking met a cancellation."""
    real = shipping.handlers.book_shipment

    async def book_shipment(
        event: InventoryReserved, booking: Booking, shipment: Shipment
    ) -> list[ShippingReady | ShippingFailed | ShippingCancelled]:
        said = await real(event, booking, shipment)
        shipment.undo = False
        return said

    patch.setattr(shipping.handlers, "book_shipment", book_shipment)


def leaves_no_tombstone(patch: pytest.MonkeyPatch) -> None:
    """Shipping forgets a cancellation that comes before its order."""
    real = shipping.handlers.cancel_shipment

    async def cancel_shipment(event: Any, shipment: Shipment) -> Any:
        return await real(event, Shipment(order_id=event.order_id) if shipment.state == "new" else shipment)

    cancel_shipment.__annotations__ = real.__annotations__
    patch.setattr(shipping.handlers, "cancel_shipment", cancel_shipment)


def locks_nothing(patch: pytest.MonkeyPatch) -> None:
    """Rows are read without a lock: two processes decide on what both of them read."""

    def with_for_update(self: Any, **_: object) -> Any:
        return self

    patch.setattr(GenerativeSelect, "with_for_update", with_for_update)


def ignores_the_number(patch: pytest.MonkeyPatch) -> None:
    """A re-driven copy counts as a repeat of the first one."""
    real = messaging.entry.enter

    async def enter(driver: Any, wanted: Mapping[Key, Wanted], model: Any) -> Entered:
        entered = await real(driver, {key._replace(redrive=0): what for key, what in wanted.items()}, model)
        entered.fresh.update([key for key in wanted if key._replace(redrive=0) in entered.fresh])
        return entered

    patch.setattr(messaging.entry, "enter", enter)


def says_nothing_again(patch: pytest.MonkeyPatch) -> None:
    """After a crash between the commit and the publishing nobody sends what is stored: neither repeat nor relay."""

    async def nothing(*_: object, **__: object) -> list[Outgoing]:
        return []

    patch.setattr(messaging.outbox, "unsent_by_cause", nothing)
    patch.setattr(messaging.outbox, "take_due", nothing)


FAULTS: dict[Fault, str] = {
    forgets_to_put_back: r"I3: .* reserved, its orders or receipts explain",
    leaves_no_tombstone: r"I3: .*|I4: .*|booked and not ready|captured and not ready|said in \d ways",
    trusts_the_inbox: r"I3: .* reserved, its orders or receipts explain",
    locks_nothing: r"I\d: ",
    ships_twice: r"I3: .* shipped, its orders or receipts explain",
    forgets_to_undo: r"I4: .* has a parcel at the carrier, in shipping it is cancelled",
    says_nothing_again: r"waits in the outbox of",
    ignores_the_number: r"I1: .* (is not settled|is .* and not settled|no final state)",
}
"""Each fault, and how it shows."""
