"""What must hold once nothing moves any more, read from the four databases by the independent checker's rules."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from messaging.envelope import ERROR_CLASS, ERROR_REASON
from messaging.suspects import KillsItsProcess
from tests.invariants import books, rules
from tests.invariants.expectations import Ending
from tests.machine.network import Letter
from tests.machine.processes import SERVICES
from tests.machine.world import World

DOWN = {"tok_down", "Down"}
"""A card and a city that never answer: their messages are parked, and the order is given up in the end."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was accepted, by what decides about its end."""

    sku: str
    pieces: int
    card: str
    city: str
    postal_code: str

    @property
    def ending(self) -> Ending:
        """How it ends if nobody cancels it and nobody else wants the same goods."""
        if self.card in {"tok_declined", "tok_insufficient_funds"}:
            return Ending.REJECTED
        if self.sku == "SOLD-01":
            return Ending.CANCELLED
        if self.sku == "RARE-01" or self.city in DOWN or self.card in {"tok_down", "tok_capture_refused"}:
            return Ending.ANY
        return Ending.CANCELLED if self.postal_code == "00000" else Ending.READY

    @property
    def body(self) -> dict[str, Any]:
        """What the customer sends."""
        return {
            "customer_id": "c-42",
            "currency": "EUR",
            "items": [{"sku": self.sku, "quantity": self.pieces}],
            "payment_token": self.card,
            "shipping_address": {
                "name": "Ada",
                "line1": "1 Main St",
                "city": self.city,
                "postal_code": self.postal_code,
                "country": "DE",
            },
        }

    @property
    def may_park(self) -> bool:
        """Whether one of its messages can be parked."""
        return self.card in DOWN or self.city in DOWN


async def problems(
    world: World, placed: Mapping[UUID, Placed], *, lost: bool = False, letters: Collection[Letter] = ()
) -> list[str]:
    """Everything that is wrong, as sentences; empty when all is well. `lost`: messages were lost, these `letters`."""
    found = await books.read(world.urls)
    expected = await _expected(world, placed, found)
    violations = [
        *rules.every_order_ends(found, expected),
        *rules.money_adds_up(found, expected),
        *rules.stock_adds_up(found, expected),
        *rules.one_effect_each(found),
    ]
    said = [str(violation) for violation in violations]
    killers = {(letter.message_id, letter.queue) for letter in world.network.parked if is_killer(letter)}
    if lost or killers:  # of a fact that never came back the order API's sum of authorizations is short, nothing else
        said = [each for each in said if " authorized, but " not in each]
    said += [f"{said.name} waits in the outbox of {said.service}" for said in found.said if not said.sent]
    said += _booked_for_nothing(found)
    said += [
        f"{letter} was parked: {letter.headers.get(ERROR_REASON)}"
        for letter in world.network.parked
        if not _may_park(letter, placed)
    ]
    gone = {*killers, *((letter.message_id, letter.queue) for letter in letters)}  # nothing that came again clears them
    for name in SERVICES:
        suspects = await world.sql(name, "SELECT event_id::text, queue FROM suspects")
        said += [f"{row} is suspected still" for row in suspects if tuple(row.values()) not in gone]
    return said


def is_killer(letter: Letter) -> bool:
    """Whether the letter was parked since its processes died with it in their hands; then it is as good as lost."""
    return letter.headers.get(ERROR_CLASS) == KillsItsProcess.__name__


def _may_park(letter: Letter, placed: Mapping[UUID, Placed]) -> bool:
    order = next((order for order_id, order in placed.items() if str(order_id) == letter.order_id), None)
    return is_killer(letter) or (order is not None and order.may_park)


async def _expected(world: World, placed: Mapping[UUID, Placed], found: books.Books) -> dict[str, Ending]:
    asked = await world.sql(
        "order_api", "SELECT order_id::text FROM orders WHERE jsonb_exists(said, 'order.cancel_requested')"
    )
    cancelled = {row["order_id"] for row in asked}
    refused = await world.sql("payment", "SELECT key FROM gateway_accounts WHERE status = 'unpaid'")
    overdue = {row["key"] for row in refused}
    expected = {
        str(order_id): Ending.ANY if str(order_id) in cancelled else order.ending for order_id, order in placed.items()
    }
    return expected | {order_id: Ending.OVERDUE for order_id in overdue if order_id in found.orders}


def _booked_for_nothing(found: books.Books) -> list[str]:
    """The carrier has a parcel for exactly the orders that are ready; the gateway took money for no other."""
    ready = {order.order_id for order in found.orders.values() if order.state == "ready"}
    booked = {booking.key for booking in found.bookings if booking.status == "booked"}
    taken = {account.key for account in found.accounts if account.status == "captured"}
    return [f"{order_id} is booked and not ready, or ready and not booked" for order_id in sorted(booked ^ ready)] + [
        f"{order_id} is captured and not ready" for order_id in sorted(taken - ready)
    ]
