"""A virtual host and a database of its own for each test."""

from collections.abc import AsyncGenerator
from itertools import count

import aio_pika
import pytest_asyncio
from sqlalchemy import text

from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.declare import apply
from messaging.topology import topology
from tests.broker.probe import Model
from tests.broker.rabbit import Broker, virtual_host

TIERS = ("50ms", "100ms", "200ms")

_numbers = count(1)


@pytest_asyncio.fixture
async def broker(rabbitmq_server: RabbitServer) -> AsyncGenerator[Broker]:
    """A fresh virtual host whose topology has short tiers, for the probe's one queue."""
    url = await virtual_host(rabbitmq_server)
    await apply(topology(["probe.order.created"], TIERS), url)
    connection = await aio_pika.connect(url)
    yield Broker(url, await connection.channel())
    await connection.close()


@pytest_asyncio.fixture
async def probe_database(postgres_url: str) -> AsyncGenerator[Database]:
    """A database with the probe's tables."""
    name = f"probe_{next(_numbers)}"
    admin = Database(postgres_url, name="admin")
    async with admin.engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text(f"CREATE DATABASE {name}"))
    await admin.close()
    database = Database(f"{postgres_url.rpartition('/')[0]}/{name}", name="probe")
    async with database.engine.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def payments(rabbitmq_server: RabbitServer) -> AsyncGenerator[Broker]:
    """A virtual host for payment, with a queue that collects what it says."""
    url = await virtual_host(rabbitmq_server)
    queues = ["payment.order.created", "payment.inventory.rejected", "payment.inventory.released"]
    await apply(topology([*queues, "payment.shipping.ready", "test.payment.authorized"], TIERS), url)
    connection = await aio_pika.connect(url)
    yield Broker(url, await connection.channel())
    await connection.close()
