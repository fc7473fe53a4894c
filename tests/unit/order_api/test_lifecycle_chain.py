"""The four services chained in memory: orders that are cancelled, and orders whose messages were lost."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from faststream.rabbit import TestRabbitBroker
from sqlmodel import select, update

import inventory.app
import inventory.seed
import inventory.settings
import order_api.app
import order_api.seed
import order_api.settings
import payment.app
import payment.settings
import shipping.app
import shipping.settings
from contracts import OrderCreated
from inventory.models import Stock
from messaging.service import Service
from messaging.testing import envelope
from order_api.deadlines import Deadlines
from payment.models import AccountStatus, GatewayAccount
from payment.simulator import TestToken
from rest import keys
from rest.callers import Scope
from shipping.models import BookingStatus, CarrierBooking
from tests.unit.order_api.conftest import speaking_to
from tests.unit.order_api.orders import NEVER, load
from tests.unit.test_chain import HAPPY, ORDER, order

AT_ONCE = 1e-6
"""Seconds: an order that may take no longer is overdue at every sweep."""

SHIPPED = [*HAPPY, "inventory.shipped", "payment.captured"]
OUTCOMES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "good card": (order(), "ready", SHIPPED),
    "declined": (order(payment_token="tok_declined"), "rejected", ["order.created", "payment.declined"]),
    "out of stock": (
        order(items=[{"sku": "SOLD-01", "quantity": 1}]),
        "cancelled",
        ["order.created", "payment.authorized", "inventory.rejected", "payment.voided"],
    ),
    "undeliverable": (
        order(shipping_address={**ORDER["shipping_address"], "postal_code": "00000"}),
        "cancelled",
        [*HAPPY[:3], "shipping.failed", "inventory.released", "payment.voided"],
    ),
}
"""Without a cancellation: what is ordered, where it ends, and all that happens."""

REASONS = {"declined": "card_declined", "out of stock": "out_of_stock", "undeliverable": "undeliverable"}


@dataclass
class Ends:
    """What is left when an order is over: with its money, its goods and its parcel."""

    money: str | None
    goods: tuple[int, int]
    """Pieces that are reserved, and that were shipped."""
    booked: bool
    """Whether the carrier has a parcel to fetch; a fenced order has none."""


@dataclass
class Chain:
    """The services, and a client of the API. What a service that is left out would have heard is lost."""

    services: dict[str, Service]
    http: httpx2.AsyncClient
    deadlines: Deadlines

    @property
    def shop(self) -> Service:
        """The order API."""
        return self.services["order_api"]

    @asynccontextmanager
    async def without(self, *left_out: str) -> AsyncGenerator[None]:
        """Let the others hear each other."""
        brokers = [service.broker for name, service in self.services.items() if name not in left_out]
        async with TestRabbitBroker(*brokers):
            yield
            if "order_api" not in left_out:
                await self.shop.sent()

    async def place(self, wish: dict[str, Any]) -> str:
        """Place an order; returns where it is."""
        placed = await self.http.post("/orders", json=wish)
        assert placed.status_code == 201, placed.text
        await self.shop.sent()
        return str(placed.headers["location"])

    async def cancel(self, location: str) -> int:
        """Ask for its cancellation; returns the answer's status."""
        answer = await self.http.post(f"{location}/cancel")
        await self.shop.sent()
        return answer.status_code

    async def redrive(self) -> int:
        """Say overdue orders again; returns how many."""
        found = await self.deadlines.sweep()
        await self.shop.sent()
        return found

    async def look(self, location: str) -> dict[str, Any]:
        """The order as it is shown."""
        return dict((await self.http.get(location)).json())

    async def happened(self, location: str) -> list[str]:
        """What its timeline tells, by name."""
        timeline = (await self.http.get(f"{location}/timeline")).json()
        return sorted(entry["event"] for entry in timeline["entries"])

    async def ends(self) -> Ends:
        """What became of everything, of one order for all."""
        async with self.services["payment"].database.session() as db:
            accounts = (await db.exec(select(GatewayAccount.status))).all()
        async with self.services["shipping"].database.session() as db:
            parcels = (await db.exec(select(CarrierBooking.status))).all()
        async with self.services["inventory"].database.session() as db:
            stock = (await db.exec(select(Stock.reserved, Stock.shipped))).all()
        assert len(accounts) <= 1
        assert len(parcels) <= 1
        goods = (sum(reserved for reserved, _ in stock), sum(shipped for _, shipped in stock))
        return Ends(next(iter(accounts), None), goods, booked=BookingStatus.BOOKED in parcels)


@pytest_asyncio.fixture
async def chain(run_in_memory: Callable[..., Awaitable[Service]]) -> AsyncGenerator[Chain]:
    """Run the four services; every order is overdue at once, and one re-drive may be in vain."""
    patience: dict[str, Any] = {"first_deadline": AT_ONCE, "longest_deadline": AT_ONCE, "redrives_before_cancel": 1}
    settings = order_api.settings.Settings(deadline_interval=NEVER, **patience)
    shop = await run_in_memory(order_api.app.build, order_api.settings.Settings, deadline_interval=NEVER, **patience)
    services = {
        "order_api": shop,
        "payment": await run_in_memory(payment.app.build, payment.settings.Settings, gateway_latency=0),
        "inventory": await run_in_memory(inventory.app.build, inventory.settings.Settings),
        "shipping": await run_in_memory(shipping.app.build, shipping.settings.Settings, carrier_latency=0),
    }
    await order_api.seed.seed(shop.database, order_api.seed.listings())
    await inventory.seed.seed(services["inventory"].database, inventory.seed.read())
    api = order_api.app.create_api(shop, settings)
    async with speaking_to(api, await keys.create(shop.database, "storefront", set(Scope))) as http:
        yield Chain(services, http, Deadlines(shop.execute, settings.patience, NEVER))


async def settled(chain: Chain, location: str) -> dict[str, Any]:
    """The order, which must be settled: no sweep finds it any more."""
    view = await chain.look(location)
    assert view["settled"] is True, view
    assert await chain.redrive() == 0
    return view


CANCELLED = ["inventory.released", "order.cancel_requested", "order.created", "payment.voided", "shipping.cancelled"]


async def test_cancelled_before_payment_heard_of_it(chain: Chain) -> None:
    """The cancellation overtakes the order: each service keeps a tombstone, and the late order holds no money."""
    async with chain.without("payment", "inventory", "shipping"):
        location = await chain.place(order())
    async with chain.without():
        assert await chain.cancel(location) == 202
        view = await settled(chain, location)
        assert (view["status"], view["reason"]) == ("cancelled", "customer")
        assert await chain.happened(location) == CANCELLED
        assert await chain.cancel(location) == 200
    async with TestRabbitBroker(*(service.broker for service in chain.services.values())) as brokers:
        row = await load(chain.shop, view["order_id"])
        late = OrderCreated.model_validate(row.said["order.created"], strict=False)
        await brokers[0].publish(late, **envelope(late))
        assert await chain.look(location) == view
    assert await chain.ends() == Ends(AccountStatus.VOIDED, (0, 0), booked=False)


async def test_cancelled_while_the_carrier_is_awaited(chain: Chain) -> None:
    """Shipping has not booked yet: the stock goes back, then the money."""
    async with chain.without("shipping"):
        location = await chain.place(order())
        assert (await chain.look(location))["status"] == "reserved"
        assert await chain.ends() == Ends(AccountStatus.HELD, (2, 0), booked=False)
    async with chain.without():
        assert await chain.cancel(location) == 202
        view = await settled(chain, location)
        assert (view["status"], view["reason"], view["cancel_requested"]) == ("cancelled", "customer", True)
        assert await chain.happened(location) == sorted([*CANCELLED, "payment.authorized", "inventory.reserved"])
    assert await chain.ends() == Ends(AccountStatus.VOIDED, (0, 0), booked=False)


async def test_cancelled_when_it_is_ready(chain: Chain) -> None:
    """A shipped order stays shipped."""
    async with chain.without():
        location = await chain.place(order())
        assert await chain.cancel(location) == 409
        assert (await settled(chain, location))["cancel_requested"] is False
    assert await chain.ends() == Ends(AccountStatus.CAPTURED, (0, 2), booked=True)


async def test_cancelled_when_it_is_ready_and_nobody_knows(chain: Chain) -> None:
    """The parcel is booked, the fact lost: shipping refuses, a re-drive tells the rest, the order is ready."""
    async with chain.without("inventory"):
        location = await chain.place(order())
    async with chain.without("order_api"):
        await say_again(chain, location)
    async with chain.without():
        assert (await chain.look(location))["status"] == "authorized"
        assert await chain.cancel(location) == 202
        assert "shipping.cancel_refused" in await chain.happened(location)
        assert await chain.redrive() == 1
        view = await settled(chain, location)
        assert (view["status"], view["cancel_requested"]) == ("ready", True)
        assert await chain.happened(location) == sorted([*SHIPPED, "order.cancel_requested", "shipping.cancel_refused"])
        assert await chain.cancel(location) == 409
    assert await chain.ends() == Ends(AccountStatus.CAPTURED, (0, 2), booked=True)


async def say_again(chain: Chain, location: str) -> None:
    """Let the three services hear the order under a number that no re-drive of the test comes to."""
    row = await load(chain.shop, (await chain.look(location))["order_id"])
    created = OrderCreated.model_validate(row.said["order.created"], strict=False)
    await chain.services["payment"].broker.publish(created, **envelope(created, redrive=1_000))


@pytest.mark.parametrize("deaf", ["payment", "inventory", "shipping", "order_api"])
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_what_was_lost_comes_again(chain: Chain, outcome: str, deaf: str) -> None:
    """Whichever service missed whatever it was told, one re-drive brings the order to the end that it would have had.

    Of a voided order payment says no more than that, and why: it is all that the order API needs.
    """
    wish, status, facts = OUTCOMES[outcome]
    if deaf == "order_api" and status == "cancelled":
        facts = ["order.created", "payment.voided"]
    async with chain.without(*({"payment", "inventory", "shipping"} if deaf == "order_api" else {deaf})):
        location = await chain.place(wish)
    if deaf == "order_api":
        async with chain.without("order_api"):
            await say_again(chain, location)
        assert await chain.happened(location) == ["order.created"]
    reached = await chain.look(location)
    async with chain.without():
        assert await chain.redrive() == (not reached["settled"])
        view = await settled(chain, location)
        assert (view["status"], view["reason"]) == (status, REASONS.get(outcome))
        assert await chain.happened(location) == sorted(facts)
    ends = await chain.ends()
    assert ends.booked is (status == "ready")
    assert ends.goods == ((0, 2) if status == "ready" else (0, 0))
    assert ends.money == {"ready": "captured", "rejected": "declined", "cancelled": "voided"}[status]


async def test_a_lost_cancellation_comes_again(chain: Chain) -> None:
    """Nobody heard of the order or of its cancellation; the re-drive says both, and either may win."""
    async with chain.without("payment", "inventory", "shipping"):
        location = await chain.place(order())
        assert await chain.cancel(location) == 202
    async with chain.without("payment"):
        assert await chain.redrive() == 1
        assert (await chain.look(location))["status"] == "cancelling"
    async with chain.without():
        assert await chain.redrive() == 1
        assert (await settled(chain, location))["reason"] == "customer"
    assert await chain.ends() == Ends(AccountStatus.VOIDED, (0, 0), booked=False)


async def test_a_capture_that_was_refused_is_tried_again(chain: Chain) -> None:
    """A shipped order is said again until its money is taken: once, when the card allows it."""
    async with chain.without():
        location = await chain.place(order(payment_token=TestToken.CAPTURE_REFUSED.value))
        for _ in range(3):
            assert await chain.redrive() == 1
            assert (await chain.look(location))["status"] == "ready"
        assert await chain.ends() == Ends(AccountStatus.UNPAID, (0, 2), booked=True)
        async with chain.services["payment"].database.session() as db, db.begin():
            await db.exec(update(GatewayAccount).values(token=TestToken.OK.value))
        assert await chain.redrive() == 1
        assert (await settled(chain, location))["cancel_requested"] is False
    assert await chain.ends() == Ends(AccountStatus.CAPTURED, (0, 2), booked=True)


async def test_an_order_that_nobody_pays_is_given_up(chain: Chain) -> None:
    """While payment hears nothing re-drives are in vain: the order is given up, and voided when payment is back."""
    async with chain.without("payment"):
        location = await chain.place(order())
        assert await chain.redrive() == 1
        assert (await chain.look(location))["status"] == "pending"
        assert await chain.redrive() == 1
        assert (await chain.look(location))["status"] == "cancelling"
    async with chain.without():
        assert await chain.redrive() == 1
        view = await settled(chain, location)
        assert (view["status"], view["reason"]) == ("cancelled", "deadline")
    assert await chain.ends() == Ends(AccountStatus.VOIDED, (0, 0), booked=False)
