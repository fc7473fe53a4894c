"""A shop with an order at every end, and auditors that may only read."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from devstack.servers import PostgresServer
from messaging.asyncapi.reading import read_topology
from messaging.database import Database
from messaging.migrations import migrate
from messaging.roles import grant
from operations.audit.balance import Audit
from operations.audit.messages import Delivery, Parked
from operations.audit.settings import AuditSettings
from operations.audit.sources import SERVICES, Sources
from tests.unit.operations.audit.shop import PASSWORD, READER, Shop

Clone = Callable[[str], Awaitable[str]]
MakeAudit = Callable[..., Audit]
Spoil = Callable[[str, str], Awaitable[Shop]]


@pytest_asyncio.fixture
async def shop(clone_database: Clone) -> Shop:
    """Four databases that a reader may read, with one old order of each end."""
    shop = Shop({service: await clone_database(service) for service in SERVICES})
    for url in shop.urls.values():
        await grant(url, READER, PASSWORD)
    await shop.open()
    for stage in ("done", "rejected", "cancelled"):
        await shop.order(stage)
    return shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def original(postgres_server: PostgresServer) -> Shop:
    """A shop with one old order of each stage; for copies only."""
    shop = Shop({service: postgres_server.create_database(f"audited_{service}") for service in SERVICES})
    for service, url in shop.urls.items():
        await asyncio.to_thread(migrate, service, url)
        await grant(url, READER, PASSWORD)
    await shop.open()
    for stage in ("done", "rejected", "cancelled", "reserved", "ready", "unpaid"):
        await shop.order(stage)
    return shop


@pytest.fixture
def spoil(postgres_server: PostgresServer, original: Shop) -> Generator[Spoil]:
    """Change a copy of one database of that shop: `shop = await spoil("payment", "DELETE FROM payments")`."""
    copies: list[str] = []

    async def spoil(service: str, statements: str) -> Shop:
        copies.append(f"spoilt_{service}")
        url = await asyncio.to_thread(
            postgres_server.create_database, f"spoilt_{service}", template=f"audited_{service}"
        )
        shop = replace(original, urls={**original.urls, service: url})
        await shop.run(service, statements)
        return shop

    yield spoil
    for name in copies:
        postgres_server.drop_database(name)


async def none_parked(_: Collection[Delivery]) -> set[Delivery]:
    """A dead-letter office that has nothing."""
    return set()


@pytest_asyncio.fixture
async def auditing() -> AsyncGenerator[MakeAudit]:
    """Make an audit of a shop, as the reader: `audit = auditing(shop, grace=1)`."""
    async with AsyncExitStack() as stack:

        def make(
            shop: Shop,
            *,
            sources: type[Sources] = Sources,
            parked: Parked | None = none_parked,
            rest: float = 0,
            **settings: float,
        ) -> Audit:
            databases = {
                service: Database(url, name=f"{service} audit", pool_size=1) for service, url in shop.readers.items()
            }
            for database in databases.values():
                stack.push_async_callback(database.close)
            chosen = AuditSettings.model_validate({"lag": 0, **settings})
            return Audit(sources(databases), chosen, read_topology(), parked, rest=rest)

        yield make
