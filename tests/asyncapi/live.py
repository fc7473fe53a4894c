"""A virtual host as a document describes it, with consumers where its handlers are."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage

from devstack.servers import RabbitServer
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import consumers_of, topology_of
from messaging.declare import apply
from messaging.management import read_broker, virtual_host
from messaging.topology import Topology
from messaging.verify import Drift, compare
from tests.broker import rabbit


@dataclass
class LiveBroker:
    """What it is compared with, and a hand to change it."""

    url: str
    management_url: str
    topology: Topology
    consumers: Mapping[str, int]
    connection: AbstractConnection
    channel: AbstractChannel
    tags: dict[str, str]

    async def drifts(self) -> list[Drift]:
        """What differs now."""
        live = await read_broker(self.management_url, virtual_host(self.url))
        return compare(self.topology, live, self.consumers)

    async def clean(self) -> None:
        """Wait until the management API has heard of every consumer."""
        await self.drifts_when(lambda drifts: not drifts)

    async def drifts_when(self, holds: Callable[[list[Drift]], bool]) -> list[Drift]:
        """What differs once that holds: the management API learns of consumers a moment later."""
        seen: list[Drift] = []

        async def look() -> bool:
            seen[:] = await self.drifts()
            return holds(seen)

        await rabbit.until(look)
        return seen

    async def exchange(self, name: str, kind: str) -> AbstractExchange:
        """Declare one, after removing what has its name."""
        await self.channel.exchange_delete(name)
        return await self.channel.declare_exchange(name, ExchangeType(kind), durable=True)

    async def consume(self, queue: str, prefetch: int) -> str:
        """Consume a queue and keep what comes."""
        channel = await self.connection.channel()
        if prefetch:
            await channel.set_qos(prefetch_count=prefetch)
        return await (await channel.get_queue(queue, ensure=False)).consume(_keep)

    async def no_longer(self, queue: str) -> None:
        """Stop consuming it."""
        await (await self.channel.get_queue(queue, ensure=False)).cancel(self.tags.pop(queue))


async def _keep(_: AbstractIncomingMessage) -> None:
    """Take it and leave it unacknowledged."""


@asynccontextmanager
async def as_documented(document: Json, server: RabbitServer) -> AsyncGenerator[LiveBroker]:
    """A fresh virtual host with all that the document says, consumers too."""
    url = await rabbit.virtual_host(server)
    wanted, consumers = topology_of(document), consumers_of(document)
    await apply(wanted, url)
    async with await aio_pika.connect(url) as connection:
        broker = LiveBroker(
            url, server.management_url, wanted, consumers, connection, await connection.channel(), tags={}
        )
        for queue, prefetch in consumers.items():
            broker.tags[queue] = await broker.consume(queue, prefetch)
        yield broker


Plant = Callable[[LiveBroker], Awaitable[object]]
