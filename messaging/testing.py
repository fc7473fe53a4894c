"""Test support that ships with the kernel: a real database per test, and services that run in memory.

Use it as a pytest plugin (`-p messaging.testing`) beside a session fixture `postgres_url`, the URL of a PostgreSQL
superuser. Then, in a test:

    service = await run_in_memory(payment.app.build, payment.settings.Settings)
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(event, **envelope(event))

Handlers run against real tables; only the broker is FastStream's, in memory. A failing handler raises in the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, TypeVar

import asyncpg
import pytest
import pytest_asyncio

from contracts.event import Event
from messaging import edge
from messaging.courier import EVENTS_EXCHANGE
from messaging.database import Database
from messaging.envelope import CONTENT_TYPE, Envelope, properties
from messaging.migrations import migrate
from messaging.outbox import Outgoing
from messaging.service import Service
from messaging.settings import ServiceSettings
from messaging.topology import Delay

S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S], Service]

IN_MEMORY_TIMEOUT = 60.0
"""Seconds for an event and all that follows from it, in memory."""

_numbers = count(1)


def envelope(event: Event, redrive: int = 0) -> dict[str, Any]:
    """The publish options under which an event's producer sends it."""
    return {"exchange": EVENTS_EXCHANGE, **properties(event, redrive)}


class InMemoryCourier:
    """Hands events straight to the next handler. There are no confirms to wait for, and failures are raised."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Deliver each event to the subscribers in memory; raises what their handlers raise."""
        for message in messages:
            try:
                await edge.publish(
                    self._service.publishers[message.name],
                    message.body.encode(),
                    edge.Step.EVENT_PUBLISH,
                    IN_MEMORY_TIMEOUT,
                    message_id=str(message.event_id),
                    message_type=message.type,
                    correlation_id=str(message.order_id or message.event_id),
                    content_type=CONTENT_TYPE,
                    headers=message.headers,
                )
            except edge.PublishFailed as failure:
                raise failure.__cause__ or failure from None
        return ()

    async def retry(self, message: Any, envelope: Envelope, error: BaseException, delay: Delay) -> None:  # noqa: ARG002
        """There are no tiers in memory: the test sees the error."""
        raise error

    async def park(self, message: Any, envelope: Envelope, error: BaseException) -> None:  # noqa: ARG002
        """There are no dead-letter queues in memory: the test sees the error."""
        raise error


class Clones:
    """Databases of their own for tests, copied from one migrated template a service; a copy takes milliseconds."""

    def __init__(self, postgres_url: str) -> None:
        self._admin_url = postgres_url
        self._templates: dict[str, str] = {}
        self._made: list[str] = []

    def url(self, name: str) -> str:
        """The URL of a database on the same server."""
        return f"{self._admin_url.rpartition('/')[0]}/{name}"

    async def clone(self, service: str) -> str:
        """A fresh database with the service's schema; returns its URL."""
        if service not in self._templates:
            template = f"template_{service}_{next(_numbers)}"
            await self._run(f'CREATE DATABASE "{template}"')
            await asyncio.to_thread(migrate, service, self.url(template))
            self._templates[service] = template
        name = f"test_{service}_{next(_numbers)}"
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self._templates[service]}"')
        self._made.append(name)
        return self.url(name)

    async def drop(self) -> None:
        """Drop what was cloned since the last call."""
        while self._made:
            await self._run(f'DROP DATABASE IF EXISTS "{self._made.pop()}" WITH (FORCE)')

    async def _run(self, statement: str) -> None:
        connection: Any = await asyncpg.connect(self._admin_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def _clones(postgres_url: str) -> Clones:
    return Clones(postgres_url)


@pytest_asyncio.fixture
async def clone_database(_clones: Clones) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Clone a service's database: `url = await clone_database("payment")`. Dropped after the test."""
    yield _clones.clone
    await _clones.drop()


@pytest_asyncio.fixture
async def service_database(
    clone_database: Callable[[str], Awaitable[str]],
) -> AsyncGenerator[Callable[[str], Awaitable[Database]]]:
    """A service's freshly migrated database: `database = await service_database("payment")`."""
    async with AsyncExitStack() as stack:

        async def make(service: str) -> Database:
            database = Database(await clone_database(service), name=service)
            stack.push_async_callback(database.close)
            return database

        yield make


@pytest_asyncio.fixture
async def run_in_memory(
    clone_database: Callable[[str], Awaitable[str]],
) -> AsyncGenerator[Callable[..., Awaitable[Service]]]:
    """Run a service in memory on a database of its own: `service = await run_in_memory(build, Settings)`."""
    async with AsyncExitStack() as stack:

        async def run(build: Build[S], settings: type[S], **overrides: object) -> Service:
            package = build.__module__.partition(".")[0]
            given: dict[str, Any] = {"database_url": await clone_database(package), **overrides}
            service = build(settings(**given))
            await stack.enter_async_context(service.running(InMemoryCourier(service)))
            return service

        yield run
