"""A message that breaks the contract, published on purpose: the control room must get it, with the reason."""

import json
import time
from dataclasses import dataclass
from uuid import uuid4

import aio_pika

from devstack.threads import run_apart
from messaging.topology import EVENTS
from operations.cli.client import ControlRoom

ROUTING_KEY = "order.created"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class InCustody:
    """What became of the poison."""

    queue: str
    reason: str
    seconds: float


def publish_poison(amqp_url: str, control_room: ControlRoom, *, seconds: float) -> InCustody | None:
    """Publish an order without lines and wait until the control room has it. None if it does not get it in time."""
    message_id = str(uuid4())
    body = json.dumps({"event_id": message_id, "order_id": str(uuid4()), "items": []}).encode()

    async def publish() -> None:
        async with await aio_pika.connect(amqp_url, timeout=5) as connection:
            exchange = await (await connection.channel()).get_exchange(EVENTS, ensure=False)
            await exchange.publish(
                aio_pika.Message(body, message_id=message_id, type="order.created.v1", content_type="application/json"),
                routing_key=ROUTING_KEY,
            )

    started = time.monotonic()
    run_apart(publish)
    while time.monotonic() - started < seconds:
        for letter in control_room.get("/dead-letters", message_id=message_id)["dead_letters"]:
            return InCustody(letter["queue"], letter["reason"], time.monotonic() - started)
        time.sleep(_POLL_SECONDS)
    return None
