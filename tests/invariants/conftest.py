"""A small world that is in order, to plant violations in: freshly migrated databases, and a broker."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aio_pika
import asyncpg
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from devstack.servers import PostgresServer, RabbitServer
from messaging.declare import apply
from messaging.migrations import migrate
from messaging.topology import topology
from tests.broker.rabbit import virtual_host
from tests.invariants.checker import Checker
from tests.invariants.design import CONTROL_ROOM, SERVICES, WORK_QUEUES
from tests.invariants.world import in_order

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host with the topology on it; each work queue has a consumer, named as the queue, that keeps all."""

    url: str
    management_url: str
    channel: AbstractChannel


@dataclass(frozen=True, slots=True)
class World:
    """Four databases and a virtual host. A test that changes a database has a copy of it for itself."""

    server: PostgresServer
    vhost: Vhost
    databases: dict[str, str]
    copies: list[str] = field(default_factory=list[str])

    @property
    def checker(self) -> Checker:
        """The checker of this world."""
        return Checker(self.databases, self.vhost.url, self.vhost.management_url)

    async def change(self, service: str, statements: str) -> None:
        """Change a service's database by hand."""
        name = f"world_{next(_numbers)}"
        copy = await asyncio.to_thread(self.server.create_database, name, template=_original(service))
        self.copies.append(name)
        self.databases[service] = copy
        unlocked = "ALTER TABLE facts DISABLE TRIGGER facts_are_final;" if service == "order_api" else ""
        await execute(copy, f"{unlocked} {statements}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def originals(postgres_server: PostgresServer) -> Mapping[str, str]:
    """Four freshly migrated databases with three finished orders, one of each kind."""
    urls = {service: postgres_server.create_database(_original(service)) for service in SERVICES}
    for service, statements in in_order().items():
        await asyncio.to_thread(migrate, service, urls[service])
        await execute(urls[service], statements)
    return urls


@pytest.fixture
def control_room(postgres_server: PostgresServer) -> Generator[str]:
    """A control room's database, freshly migrated."""
    name = f"world_{CONTROL_ROOM}_{next(_numbers)}"
    url = postgres_server.create_database(name)
    migrate(CONTROL_ROOM, url)
    yield url
    postgres_server.drop_database(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vhost(rabbitmq_server: RabbitServer) -> AsyncGenerator[Vhost]:
    """One virtual host for all tests of the checker. A test that changes it puts it right again."""
    url = await virtual_host(rabbitmq_server)
    await apply(topology(WORK_QUEUES, ["1h"]), url)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in WORK_QUEUES:
            await (await channel.get_queue(name, ensure=False)).consume(keep, consumer_tag=name)
        yield Vhost(url, rabbitmq_server.management_url, channel)


@pytest.fixture
def world(postgres_server: PostgresServer, originals: Mapping[str, str], vhost: Vhost) -> Generator[World]:
    """A world with nothing to complain of."""
    made = World(postgres_server, vhost, dict(originals))
    yield made
    for name in made.copies:
        postgres_server.drop_database(name)


async def execute(url: str, statements: str) -> None:
    """Run statements by hand."""
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def keep(_: AbstractIncomingMessage) -> None:
    """Take a message and never acknowledge it."""


def _original(service: str) -> str:
    return f"world_{service}"
