"""Messages that rest on the broker, parked or unrouted, until a person decides: how their personal data is erased."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, cast
from uuid import UUID

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange

from messaging import edge
from messaging.personal import ERASED, replaced
from messaging.queue_move import exact_copy
from messaging.topology import RESTING, Topology
from messaging.unreadable import too_deep

_PUBLISH_TIMEOUT = 10.0
_IDENTITY = re.compile(rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


async def erase(amqp_url: str, topology: Topology, order_ids: Collection[UUID]) -> dict[str, int]:
    """Put an erased copy of each of these orders' messages in its place; return how many there were, by queue.

    The copy is confirmed before the original is acknowledged. All other messages are given back as they are; the
    broker marks them as redelivered, and a queue's order may change. While this runs they are invisible to others.
    """
    wanted = {str(each) for each in order_ids}
    erased: dict[str, int] = {}
    async with (
        await aio_pika.connect(amqp_url) as connection,
        RabbitBroker(amqp_url, default_channel=Channel(on_return_raises=True), logger=None) as publisher,
    ):
        for binding in topology.bindings:
            if not any(queue.name == binding.queue and queue.kind in RESTING for queue in topology.queues):
                continue
            kind = next(each.type for each in topology.exchanges if each.name == binding.exchange)
            door = RabbitExchange(binding.exchange, type=ExchangeType(kind), durable=True, declare=False)
            async with connection.channel() as channel:  # closing it gives back what was not acknowledged
                queue = await channel.declare_queue(binding.queue, passive=True)
                for _ in range(queue.declaration_result.message_count or 0):
                    message = await queue.get(fail=False)
                    if message is None:
                        break
                    body = erased_body(message.body) if wanted & _orders_of(message) else None
                    if body is not None:
                        await _replace(publisher, door, binding.routing_key or message.routing_key, message, body)
                        erased[queue.name] = erased.get(queue.name, 0) + 1
    return erased


def erased_body(body: bytes) -> bytes | None:
    """The body without personal data; None if it holds none. What is no JSON, or too deep, is erased as a whole."""
    try:
        said: Any = orjson.loads(body)
    except ValueError:
        said = None
    without = replaced(said, ERASED) if isinstance(said, dict | list) and not too_deep(said) else ERASED
    return None if without == said else orjson.dumps(without)


def _orders_of(message: AbstractIncomingMessage) -> set[str]:
    """Whatever may be an order's id in a message: its correlation, and any UUID in a body that may be unreadable."""
    named = {found.decode().lower() for found in _IDENTITY.findall(message.body)}
    return named | {(message.correlation_id or "").lower()}


async def _replace(
    publisher: RabbitBroker,
    door: RabbitExchange,
    routing_key: str | None,
    message: AbstractIncomingMessage,
    body: bytes,
) -> None:
    """Raises PublishFailed or AckLost: then the original is still there, at worst beside its copy; repeat it."""
    copy = cast("Any", exact_copy(message, keep_history=True, body=body))
    await edge.publish(
        cast("edge.Publisher", publisher),
        copy,
        edge.Step.DEAD_PUBLISH,
        _PUBLISH_TIMEOUT,
        exchange=door,
        routing_key=routing_key or "",
    )
    await edge.ack(message)
