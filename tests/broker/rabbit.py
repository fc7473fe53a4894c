"""Eyes and hands on a real broker."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote

import aio_pika
import httpx2
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from sqlalchemy import text

from contracts import Event
from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.service import Service
from messaging.topology import EVENTS, REQUEUE
from tests.broker.probe import body, options

PATIENCE = 20.0
"""Seconds until an expectation that never holds fails the test."""

T = TypeVar("T")
_numbers = count(1)


@dataclass
class Broker:
    """A virtual host with the topology on it."""

    url: str
    channel: AbstractChannel

    async def publish(self, *events: Event, headers: dict[str, Any] | None = None) -> None:
        """Publish events as their producer would, all in flight together."""
        exchange = await self.channel.get_exchange(EVENTS, ensure=False)
        await asyncio.gather(
            *(
                exchange.publish(aio_pika.Message(body(e), headers=headers, **options(e)), routing_key=e.name)
                for e in events
            )
        )

    async def send(self, queue: str, message: aio_pika.Message) -> None:
        """Put any message straight into a queue."""
        exchange = await self.channel.get_exchange(REQUEUE, ensure=False)
        await exchange.publish(message, routing_key=queue)

    async def depth(self, queue: str) -> int:
        """How many messages are ready in it."""
        return (await self.channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """Take one message out of a queue, waiting for it."""
        found = await self.channel.get_queue(queue, ensure=False)

        async def one() -> AbstractIncomingMessage | None:
            return await found.get(no_ack=True, fail=False)

        return await until(one)


async def until(question: Callable[[], Awaitable[T | None]], patience: float = PATIENCE) -> T:
    """Ask again and again until the answer is true; fail with the last answer when patience is over."""
    ends = time.monotonic() + patience
    while True:
        answer = await question()
        if answer:
            return answer
        assert time.monotonic() < ends, f"still {answer!r} after {patience} s"
        await asyncio.sleep(0.02)


made: list[str] = []
"""The management addresses of virtual hosts, oldest first; tests/conftest.py deletes a test's own at its end."""


async def virtual_host(server: RabbitServer) -> str:
    """Make a virtual host; returns its URL. It ends with the test, unless a fixture of a wider scope made it."""
    name = f"test-{next(_numbers)}"
    management = server.management_url
    made.append(f"{management}/api/vhosts/{name}")
    async with httpx2.AsyncClient() as http:
        (await http.put(f"{management}/api/vhosts/{name}")).raise_for_status()
        user = httpx2.URL(management).username
        full = {"configure": ".*", "write": ".*", "read": ".*"}
        (await http.put(f"{management}/api/permissions/{name}/{quote(user)}", json=full)).raise_for_status()
    return f"{server.amqp_url.rstrip('/').partition('?')[0].rstrip('/')}/{name}"


@asynccontextmanager
async def consuming(service: Service) -> AsyncGenerator[Service]:
    """A service with its broker, until the block ends."""
    async with service.lifespan():
        await until(lambda: _ready(service))
        yield service


async def _ready(service: Service) -> bool:
    return not await service.health.problems()


async def one(database: Database, question: str) -> int:
    """The answer to a question that is a number."""
    async with database.engine.connect() as connection:
        return int((await connection.execute(text(question))).scalar_one())
