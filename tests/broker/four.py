"""The four services in this process, on a real broker, with a shop in front of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

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
from messaging.service import Service
from messaging.topology import topology
from rest import keys
from rest.callers import Scope
from tests.broker.rabbit import consuming, one, until, virtual_host
from tests.e2e.shop import Shop

TIERS = ("50ms", "100ms", "200ms")


@dataclass
class World:
    """The services while they run."""

    amqp_url: str
    services: list[Service]
    orders: Database
    http: httpx2.AsyncClient
    shop: Shop

    async def quiet(self) -> None:
        """Wait until all that the order API said was sent, and noted as sent."""

        async def empty() -> bool:
            return await one(self.orders, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0

        await until(empty)


@asynccontextmanager
async def four_services(
    rabbitmq_server: RabbitServer, clone_database: Callable[[str], Awaitable[str]], **overrides: object
) -> AsyncGenerator[World]:
    """Run them, on a virtual host and databases of their own; `overrides` are settings of all."""
    amqp_url = await virtual_host(rabbitmq_server)

    async def given(name: str) -> dict[str, Any]:
        own = {"amqp_url": amqp_url, "database_url": await clone_database(name)}
        return {**own, "retry_tiers": TIERS, **overrides}

    settings = order_api.settings.Settings(**await given("order_api"), deadline_interval=0.1)
    shop = order_api.app.build(settings)
    api = order_api.app.create_api(shop, settings)
    services: list[Service] = [
        shop,
        payment.app.build(payment.settings.Settings(**await given("payment"))),
        inventory.app.build(inventory.settings.Settings(**await given("inventory"))),
        shipping.app.build(shipping.settings.Settings(**await given("shipping"))),
    ]
    await apply(topology((queue for service in services for queue in service.routes), TIERS), amqp_url)
    async with AsyncExitStack() as stack:
        for service in services:
            await stack.enter_async_context(consuming(service))
        await order_api.seed.seed(shop.database, order_api.seed.listings())
        await inventory.seed.seed(services[2].database, inventory.seed.read())
        key = {"Authorization": f"Bearer {await keys.create(shop.database, 'storefront', set(Scope))}"}
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://test", headers=key)
        await stack.enter_async_context(http)
        yield World(amqp_url, services, shop.database, http, Shop(http))
