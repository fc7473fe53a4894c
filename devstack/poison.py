"""A message that breaks the contract, published on purpose: it must end in its dead-letter queue, with the reason."""

import asyncio
import json
import time
from dataclasses import dataclass
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractQueue

from devstack.threads import run_apart
from messaging.topology import EVENTS, dead_letter_queue

ROUTING_KEY = "order.created"
QUEUE = f"payment.{ROUTING_KEY}"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Parked:
    """What became of the poison."""

    queue: str
    reason: str
    seconds: float


def publish_poison(amqp_url: str, *, seconds: float) -> Parked | None:
    """Publish an order without lines and find it in the dead-letter queue, where it stays. None if it is not there."""
    message_id = str(uuid4())
    body = json.dumps({"event_id": message_id, "order_id": str(uuid4()), "items": []}).encode()

    async def work() -> Parked | None:
        async with await aio_pika.connect(amqp_url, timeout=5) as connection:
            channel = await connection.channel()
            dead = await channel.get_queue(dead_letter_queue(QUEUE), ensure=False)
            exchange = await channel.get_exchange(EVENTS, ensure=False)
            started = time.monotonic()
            await exchange.publish(
                aio_pika.Message(body, message_id=message_id, type="order.created.v1", content_type="application/json"),
                routing_key=ROUTING_KEY,
            )
            while time.monotonic() - started < seconds:
                reason = await _reason(dead, message_id)
                if reason is not None:
                    return Parked(dead.name, reason, time.monotonic() - started)
                await asyncio.sleep(_POLL_SECONDS)
        return None

    return run_apart(work)


async def _reason(dead: AbstractQueue, message_id: str) -> str | None:
    """The reason with which the message is parked; it is looked at and given back."""
    found = await dead.get(fail=False)
    if found is None:
        return None
    await found.nack(requeue=True)
    return str(found.headers.get("x-error-reason")) if found.message_id == message_id else None
