"""The broker loses everything under load: what was accepted is said again until it is finished."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aio_pika
import httpx2
import pytest_asyncio

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
from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.declare import apply
from messaging.topology import Topology, retry_tier, topology
from rest import keys
from rest.callers import Scope
from tests.broker.rabbit import consuming, one, until, virtual_host
from tests.e2e.shop import wish
from tests.invariants import books, rules
from tests.invariants.expectations import Ending

TIERS = ("2s", "3s")
"""Long enough for a message to wait there when the queues are deleted."""
ORDERS = 60
AT_A_TIME = 10
PATIENCE: dict[str, Any] = {
    "first_deadline": 0.5,
    "longest_deadline": 1,
    "deadline_interval": 0.1,
    "redrives_before_cancel": 1_000,
}
"""Whoever took longer than half a second may have been lost; nobody is given up."""

WISHES = [
    wish(Ending.READY),
    wish(Ending.READY, token="tok_flaky"),
    wish(Ending.ANY),  # its customer thinks better of it
    wish(Ending.REJECTED, token="tok_declined"),
    wish(Ending.CANCELLED, postal_code="00000"),
    wish(Ending.CANCELLED, {"SOLD-01": 1}),
]


@dataclass
class World:
    """Four running services, their databases, and a virtual host that can be wiped."""

    databases: dict[str, str]
    amqp_url: str
    topology: Topology
    http: httpx2.AsyncClient
    orders: Database
    parcels: Database

    async def wipe(self) -> int:
        """Delete every queue with all that is in it, and declare everything again; returns how much was lost.

        Waits for something that can be lost: a message on its way to its next attempt.
        """
        lost = 0
        async with await aio_pika.connect(self.amqp_url) as connection, connection.channel() as channel:
            tier = retry_tier(TIERS[0])

            async def waits() -> bool:
                return bool((await channel.declare_queue(tier, passive=True)).declaration_result.message_count)

            await until(waits)
            for queue in self.topology.queues:
                lost += (await channel.queue_delete(queue.name)).message_count or 0
        await apply(self.topology, self.amqp_url)
        return lost

    async def place(self, number: int) -> tuple[str, Ending]:
        """Place an order; returns its id, and how it is to end."""
        wanted = WISHES[number % len(WISHES)]
        answer = await self.http.post("/orders", json=wanted.body)
        assert answer.status_code == 201, answer.text
        order_id = str(answer.json()["order_id"])
        if wanted.ending is Ending.ANY:
            assert (await self.http.post(f"/orders/{order_id}/cancel")).status_code in {200, 202, 409}
        return order_id, wanted.ending


@pytest_asyncio.fixture
async def world(
    rabbitmq_server: RabbitServer, clone_database: Callable[[str], Awaitable[str]]
) -> AsyncGenerator[World]:
    """Run the four services in this process, with short deadlines."""
    amqp_url = await virtual_host(rabbitmq_server)
    databases = {name: await clone_database(name) for name in ("order_api", "payment", "inventory", "shipping")}

    def given(name: str) -> dict[str, Any]:
        return {"amqp_url": amqp_url, "database_url": databases[name], "retry_tiers": TIERS}

    settings = order_api.settings.Settings(**given("order_api"), **PATIENCE)
    shop = order_api.app.build(settings)
    api = order_api.app.create_api(shop, settings)
    services = [
        shop,
        payment.app.build(payment.settings.Settings(**given("payment"))),
        inventory.app.build(inventory.settings.Settings(**given("inventory"))),
        shipping.app.build(shipping.settings.Settings(**given("shipping"), undo_interval=0.1)),
    ]
    wanted = topology((queue for service in services for queue in service.routes), TIERS)
    await apply(wanted, amqp_url)
    async with AsyncExitStack() as stack:
        for service in services:
            await stack.enter_async_context(consuming(service))
        await order_api.seed.seed(shop.database, order_api.seed.listings())
        await inventory.seed.seed(services[2].database, inventory.seed.read())
        key = {"Authorization": f"Bearer {await keys.create(shop.database, 'storefront', set(Scope))}"}
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://test", headers=key)
        await stack.enter_async_context(http)
        yield World(databases, amqp_url, wanted, http, shop.database, services[3].database)


async def test_a_wiped_broker_loses_no_order(world: World) -> None:
    """All queues are deleted while orders come in: each order ends as it would have, and nothing happens twice."""
    expected: dict[str, Ending] = {}
    half = asyncio.Event()

    async def keep_ordering() -> None:
        for first in range(0, ORDERS, AT_A_TIME):
            expected.update(await asyncio.gather(*(world.place(first + number) for number in range(AT_A_TIME))))
            if len(expected) >= ORDERS // 2:
                half.set()

    ordering = asyncio.create_task(keep_ordering())
    await half.wait()
    assert await world.wipe() > 0
    await ordering
    assert len(expected) == ORDERS
    await until(lambda: _all_is_done(world))

    assert await one(world.orders, "SELECT count(*) FROM orders WHERE redrives > 0") > 0
    found = await books.read(world.databases)
    assert found.orders.keys() == expected.keys()
    assert [
        *rules.every_order_ends(found, expected),
        *rules.stock_adds_up(found, expected),
        *rules.one_effect_each(found),
    ] == []
    ready = {order.order_id for order in found.orders.values() if order.state == "ready"}
    assert {account.key for account in found.accounts if account.status == "captured"} == ready
    assert not [account for account in found.accounts if account.status not in {"captured", "voided", "declined"}]


async def _all_is_done(world: World) -> bool:
    """Whether every order is settled, and no parcel waits to be undone."""
    return (
        await one(world.orders, "SELECT count(*) FROM orders WHERE next_deadline IS NOT NULL") == 0
        and await one(world.parcels, "SELECT count(*) FROM shipments WHERE undo") == 0
    )
