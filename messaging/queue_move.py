"""A queue made anew with other arguments, under load, without losing a message.

RabbitMQ has no way to change a queue's arguments. So a stand-in takes over: from the moment that it is bound, every
message has a place. Each step can be repeated, and a move that was interrupted is continued by the next one:

1. the stand-in is declared and bound as the queue is; from now on messages go to both;
2. the queue is unbound; what it holds is moved to the stand-in, or handled by its consumers, until it is empty;
3. the queue is deleted; when its consumers are cancelled, it is declared as documented, and bound; they come back;
4. the stand-in is unbound; what it holds is moved to the queue; it is deleted.

While both are bound a message may arrive twice: consumers tell duplicates by the message's id, as they always must.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aio_pika
from aio_pika import ExchangeType as AmqpExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange

from messaging import edge
from messaging.management import depth, read_broker, virtual_host
from messaging.retry import BROKER_HISTORY
from messaging.topology import Queue, Topology, keep_all, moving
from messaging.unreadable import writable

STALE = 15.0
"""Seconds after which the management API knows what was true before: two of RabbitMQ's five-second beats, and some.

A queue that is unbound never gains a message, so one empty report after that is proof."""
CANCEL_TIME = 2.0
"""Seconds, at least, between a queue's deletion and its declaration.

Its consumers must be cancelled in between, and consume again by themselves. A queue that is back at once makes RabbitMQ
carry them over, unasked, and lose track of their deliveries: they hang (seen on 3.10.8)."""
PATIENCE = 3_600.0
"""Seconds that a queue may take to run empty."""
AT_ONCE = 200
"""Messages that are being moved at a time."""
_PUBLISH_TIMEOUT = 10.0
_POLL_SECONDS = 0.5

Bound = tuple[str, str]
"""(exchange, routing key)."""


@dataclass(frozen=True, slots=True)
class Mover:
    """Makes queues anew on one broker."""

    amqp_url: str
    management_url: str
    stale: float = STALE
    patience: float = PATIENCE

    async def move(self, queue: Queue, wanted: Topology) -> None:
        """Make a queue as documented. Raises TimeoutError when it does not run empty; then repeat it later.

        The exchanges of its bindings exist.
        """
        documented = {(each.exchange, each.routing_key) for each in wanted.bindings if each.queue == queue.name}
        async with (
            await aio_pika.connect(self.amqp_url) as connection,
            connection.channel() as channel,
            self._publisher() as publisher,
        ):
            spare = await channel.declare_queue(moving(queue.name), durable=True, arguments=dict(keep_all()))
            bound = await self._bound_to(queue.name)
            await _bind(channel, spare, documented | {place for place in bound if place[0] != moving(queue.name)})
            if await self._differs(queue):
                await self._take_away(connection, channel, publisher, queue)
            made = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            await _bind(channel, made, documented)
            await _unbind(channel, spare, await self._bound_to(spare.name))
            await self._drain(connection, publisher, spare, made, queue)
            await channel.queue_delete(spare.name)
            await channel.exchange_delete(moving(queue.name))

    async def _take_away(
        self, connection: AbstractConnection, channel: AbstractChannel, publisher: RabbitBroker, queue: Queue
    ) -> None:
        """Empty the queue into its stand-in and delete it."""
        old = await channel.get_queue(queue.name, ensure=False)
        spare = await channel.get_queue(moving(queue.name), ensure=False)
        await _unbind(channel, old, await self._bound_to(queue.name))
        await self._drain(connection, publisher, old, spare, queue)
        await channel.queue_delete(queue.name)
        async with asyncio.timeout(self.patience):
            await asyncio.sleep(CANCEL_TIME)
            while await self._consumed(queue.name):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_POLL_SECONDS)

    async def _consumed(self, queue: str) -> bool:
        live = await read_broker(self.management_url, virtual_host(self.amqp_url))
        return any(consumer.queue == queue for consumer in live.consumers)

    async def _drain(
        self,
        connection: AbstractConnection,
        publisher: RabbitBroker,
        source: AbstractQueue,
        target: AbstractQueue,
        queue: Queue,
    ) -> None:
        """Move every message, exactly as it is, until the broker says that none is left in the source.

        They go through an exchange of their own: published to a queue by its name, they would lose the routing key by
        which a retry tier finds the way back.
        """
        async with connection.channel() as channel:
            door = await channel.declare_exchange(moving(queue.name), AmqpExchangeType.FANOUT, durable=True)
            await _unbind(channel, source, {(door.name, "")})
            await (await channel.get_queue(target.name, ensure=False)).bind(door)
            through = RabbitExchange(door.name, type=ExchangeType.FANOUT, durable=True, declare=False)
            failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            async def carry(message: AbstractIncomingMessage) -> None:
                try:
                    copy = cast("Any", exact_copy(message, keep_history=queue.kind in {"dead-letter", "unrouted"}))
                    await edge.publish(
                        cast("edge.Publisher", publisher),
                        copy,
                        edge.Step.MOVE_PUBLISH,
                        _PUBLISH_TIMEOUT,
                        exchange=through,
                        routing_key=message.routing_key or "",
                    )
                    await edge.ack(message)
                except (edge.PublishFailed, edge.AckLost) as error:  # it stays in the source
                    if not failed.done():
                        failed.set_exception(error)

            await channel.set_qos(prefetch_count=AT_ONCE)
            await (await channel.get_queue(source.name, ensure=False)).consume(carry)
            empty = asyncio.create_task(self._until_empty(source.name))
            done, _ = await asyncio.wait({empty, failed}, return_when=asyncio.FIRST_COMPLETED)
            empty.cancel()
            for each in done:
                each.result()
            failed.cancel()

    async def _until_empty(self, queue: str) -> None:
        """Wait until a queue into which nothing is routed any more holds nothing, not even unacknowledged messages."""
        async with asyncio.timeout(self.patience):
            await asyncio.sleep(self.stale)
            while await depth(self.management_url, virtual_host(self.amqp_url), queue):  # noqa: ASYNC110 - no event
                await asyncio.sleep(_POLL_SECONDS)

    async def _differs(self, queue: Queue) -> bool:
        """Whether the queue is there with other arguments."""
        live = (await read_broker(self.management_url, virtual_host(self.amqp_url))).queues.get(queue.name)
        return live is not None and (dict(live.arguments) != queue.arguments or not live.properties["durable"])

    async def _bound_to(self, queue: str) -> set[Bound]:
        live = await read_broker(self.management_url, virtual_host(self.amqp_url))
        return {(exchange, key) for exchange, bound, key in live.bindings if bound == queue}

    @asynccontextmanager
    async def _publisher(self) -> AsyncGenerator[RabbitBroker]:
        """A broker whose publishes raise when a message comes back unrouted."""
        async with RabbitBroker(self.amqp_url, default_channel=Channel(on_return_raises=True), logger=None) as broker:
            yield broker


def exact_copy(message: AbstractIncomingMessage, *, keep_history: bool, body: bytes | None = None) -> aio_pika.Message:
    """The message to be published again: headers and properties as they are, and the body, unless another is given.

    The history of the broker's own dead-lettering stays only where messages rest: on its way through tiers, a message
    that is published with it vanishes on RabbitMQ 3.10.
    """
    dropped = ("x-delivery-count",) if keep_history else BROKER_HISTORY
    return aio_pika.Message(
        message.body if body is None else body,
        headers=writable({name: value for name, value in message.headers.items() if not name.startswith(dropped)}),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=message.delivery_mode,
        priority=message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=message.expiration,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


async def _bind(channel: AbstractChannel, queue: AbstractQueue, places: Iterable[Bound]) -> None:
    for exchange, key in sorted(places):
        await queue.bind(await channel.get_exchange(exchange, ensure=False), key)


async def _unbind(channel: AbstractChannel, queue: AbstractQueue, places: Iterable[Bound]) -> None:
    for exchange, key in sorted(places):
        await queue.unbind(await channel.get_exchange(exchange, ensure=False), key)
