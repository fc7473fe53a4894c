"""Messages that break the contract: parked at once, with the reason, and nobody else notices."""

from typing import Any

import aio_pika
import pytest

from messaging.database import Database
from tests.broker.probe import Probe, body, options, order, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of

GOOD = order(7)
QUEUE = "probe.order.created"


def poison(content: bytes = body(GOOD), **changes: Any) -> aio_pika.Message:
    """The good message with something wrong."""
    return aio_pika.Message(content, **{**options(GOOD), **changes})


CORPUS: dict[str, tuple[aio_pika.Message, str]] = {
    "not JSON": (poison(b"{"), "Invalid JSON"),
    "empty": (poison(b""), "Invalid JSON"),
    "no UTF-8": (poison(b"\xff\xfe\x00"), "Invalid JSON"),
    "not an object": (poison(b"[1, 2]"), "should be an object"),
    "wrong shape": (poison(b'{"event_id": 1}'), "order_id: Field required"),
    "true for an integer": (poison(body(GOOD).replace(b'"quantity":2', b'"quantity":true')), "items.0.quantity"),
    "unknown type": (poison(type="order.exploded.v1"), "type is not order.created.v1"),
    "unknown version": (poison(body(GOOD).replace(b'"version":1', b'"version":9')), "version 9 is unknown"),
    "id is not the message's": (poison(message_id="somebody else"), "message_id is not the body's event_id"),
    "no message id": (poison(message_id=None), "message_id is not the body's event_id"),
    "content type": (poison(content_type="text/xml"), "content type"),
    "content encoding": (poison(content_encoding="gzip"), "content encoding"),
    "re-drive is no number": (poison(headers={"x-redrive": "many"}), "header x-redrive"),
    "attempt is negative": (poison(headers={"x-attempt": -1}), "header x-attempt"),
    "10 MB": (poison(b" " * 10_000_000), "body of 10000000 bytes"),
}


async def test_every_poison_is_parked_with_its_reason(broker: Broker, probe_database: Database) -> None:
    """Each message of the corpus reaches the dead-letter queue on its first delivery; orders beside it are counted."""
    async with consuming(service_of(Probe(), broker, probe_database)):
        for name, (message, reason) in CORPUS.items():
            await broker.send(QUEUE, message)
            parked = await broker.take(f"{QUEUE}.dlq")
            assert reason in str(parked.headers["x-error-reason"]), name
            assert parked.headers["x-error-class"] == "Poison", name
            assert parked.headers["x-attempt"] == 1 or "x-attempt" in message.headers, name
            assert parked.body == message.body, name
        await broker.publish(*orders(20))
        await until(lambda: _all_counted(broker, probe_database))
    assert await counted(probe_database) == (20, 20)
    assert await broker.depth(f"{QUEUE}.dlq") == 0


@pytest.mark.parametrize("secret", ["tok_ok", "1 Main St"])
async def test_the_reason_tells_no_secret(broker: Broker, probe_database: Database, secret: str) -> None:
    """What is wrong is named field by field, without the values."""
    wrong = body(GOOD).replace(f'"{secret}"'.encode(), f'["{secret}"]'.encode())
    async with consuming(service_of(Probe(), broker, probe_database)):
        await broker.send(QUEUE, poison(wrong))
        parked = await broker.take(f"{QUEUE}.dlq")
    assert secret not in str(parked.headers)


async def test_nobody_is_replied_to(broker: Broker, probe_database: Database) -> None:
    """Whoever asks for a reply, in a queue of its choice, gets none: neither to an event nor to poison."""
    replies = await broker.channel.declare_queue(exclusive=True)
    async with consuming(service_of(Probe(), broker, probe_database)):
        await broker.send(QUEUE, poison(reply_to=replies.name))
        await broker.send(QUEUE, poison(b"{", reply_to=replies.name))
        await broker.take(f"{QUEUE}.dlq")
        await until(lambda: _counted_once(probe_database))
    assert await replies.get(fail=False) is None


async def _counted_once(database: Database) -> bool:
    return await counted(database) == (1, 1)


async def _all_counted(broker: Broker, database: Database) -> bool:
    return (await counted(database))[0] == 20 and await broker.depth(QUEUE) == 0
