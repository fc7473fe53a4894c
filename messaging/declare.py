"""The one job that declares the topology on a broker, ahead of traffic."""

from __future__ import annotations

import asyncio

import aio_pika
from aio_pika import ExchangeType
from aio_pika.abc import AbstractExchange

from messaging.topology import EVENTS, UNROUTED, Topology

TIMEOUT = 30.0
"""Seconds for the whole job."""


async def apply(topology: Topology, url: str) -> None:
    """Declare every exchange, queue and binding. Repeating it changes nothing.

    Raises aio_pika's ChannelPreconditionFailed when one exists with other arguments, and TimeoutError.
    """
    async with asyncio.timeout(TIMEOUT), await aio_pika.connect(url) as connection, connection.channel() as channel:
        exchanges: dict[str, AbstractExchange] = {}
        for exchange in sorted(topology.exchanges, key=lambda e: e.name == EVENTS):  # after its alternate exchange
            exchanges[exchange.name] = await channel.declare_exchange(
                exchange.name, ExchangeType(exchange.type), durable=True, arguments=dict(exchange.arguments)
            )
        queues = {
            queue.name: await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            for queue in sorted(topology.queues, key=lambda q: q.name != UNROUTED)
        }
        for binding in topology.bindings:
            await queues[binding.queue].bind(exchanges[binding.exchange], binding.routing_key)
