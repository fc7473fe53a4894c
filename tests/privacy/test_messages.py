"""Messages that rest on the broker, parked or unrouted: those of an erased order are erased, no other is touched."""

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from contracts import OrderCreated
from devstack.servers import RabbitServer
from messaging import edge, resting
from messaging.declare import apply
from messaging.topology import DEAD, UNROUTED, topology
from tests.broker.rabbit import Broker, until, virtual_host

pytestmark = pytest.mark.broker

ORDER, OTHER = uuid4(), uuid4()
TOPOLOGY = topology(["payment.order.created", "shipping.inventory.reserved"], ["1s"])
DLQ = "payment.order.created.dlq"
PERSONAL = ("Ada", "1 Main St", "Berlin", "10115", "c-42", "tok_ok")


@pytest_asyncio.fixture
async def broker(rabbitmq_server: RabbitServer) -> AsyncGenerator[Broker]:
    """A fresh virtual host with a topology."""
    url = await virtual_host(rabbitmq_server)
    await apply(TOPOLOGY, url)
    connection = await aio_pika.connect(url)
    yield Broker(url, await connection.channel())
    await connection.close()


def body(order_id: UUID) -> bytes:
    """An order's first event."""
    return OrderCreated.example().model_copy(update={"order_id": order_id}).model_dump_json().encode()


def message(order_id: UUID | None, text: bytes, **headers: Any) -> aio_pika.Message:
    """A message as it lies in a dead-letter queue."""
    return aio_pika.Message(
        text,
        headers={"x-error-class": "Poison", "x-attempt": 1, **headers},
        message_id=str(uuid4()),
        correlation_id=None if order_id is None else str(order_id),
        content_type="application/json",
        type="order.created.v1",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def park(broker: Broker, *messages: aio_pika.Message, exchange: str = DEAD) -> None:
    """Put messages where they rest."""
    door = await broker.channel.get_exchange(exchange, ensure=False)
    for each in messages:
        await door.publish(each, routing_key="payment.order.created" if exchange == DEAD else "order.created")


async def all_in(broker: Broker, queue: str, count: int) -> dict[str, AbstractIncomingMessage]:
    """The messages of a queue, taken out, by id."""

    async def complete() -> bool:
        return await broker.depth(queue) == count

    await until(complete)
    taken = [await broker.take(queue) for _ in range(count)]
    return {str(each.message_id): each for each in taken}


def leaked(text: bytes) -> list[str]:
    """What personal data is in a body."""
    return [each for each in PERSONAL if each.encode() in text]


async def test_an_orders_parked_message_is_erased_in_place(broker: Broker) -> None:
    """Same id, headers and properties, in the same queue; the body is a valid event without the data."""
    mine, other = message(ORDER, body(ORDER), note="kept"), message(OTHER, body(OTHER))
    await park(broker, mine, other)
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {DLQ: 1}
    found = await all_in(broker, DLQ, 2)
    erased, untouched = found[str(mine.message_id)], found[str(other.message_id)]
    assert leaked(erased.body) == []
    assert OrderCreated.model_validate_json(erased.body).order_id == ORDER
    assert erased.headers["note"] == "kept"
    assert (erased.correlation_id, erased.type, erased.routing_key) == (
        str(ORDER),
        "order.created.v1",
        "payment.order.created",
    )
    assert erased.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert untouched.body == body(OTHER)


async def test_an_unrouted_message_keeps_its_routing_key(broker: Broker) -> None:
    """Whoever sends it on later needs to know where it was to go."""
    await park(broker, message(ORDER, body(ORDER)), exchange=UNROUTED)
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {UNROUTED: 1}
    (erased,) = (await all_in(broker, UNROUTED, 1)).values()
    assert leaked(erased.body) == []
    assert erased.routing_key == "order.created"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"order_id": str(ORDER), "shipping_address": "Ada, 1 Main St"}).encode(),
        json.dumps(f"{ORDER} of Ada").encode(),
        f"{ORDER} of Ada at \xff 1 Main St".encode("latin-1"),
        body(ORDER)[:-20],
        f'{{"order_id": "{ORDER}", "name": "Ada\\ud800"}}'.encode(),
        f'{{"order_id": "{ORDER}", "items": {"[" * 900}"Ada"{"]" * 900}}}'.encode(),
        str(ORDER).upper().encode() + b" Ada",
    ],
    ids=["broken contract", "JSON of another kind", "no text", "cut off", "half a character", "deep", "capitals"],
)
async def test_poison_is_found_by_the_id_in_it(broker: Broker, text: bytes) -> None:
    """Without a correlation id, whatever its form: it names the order, so it is erased."""
    await park(broker, message(None, text))
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {DLQ: 1}
    (erased,) = (await all_in(broker, DLQ, 1)).values()
    assert leaked(erased.body) == []


async def test_twice_is_once(broker: Broker) -> None:
    """What is erased is left where it is; a queue that holds nothing of the order is not touched."""
    await park(broker, message(ORDER, body(ORDER)), message(None, b"no order"))
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {DLQ: 1}
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {}
    assert await resting.erase(broker.url, TOPOLOGY, []) == {}
    assert len(await all_in(broker, DLQ, 2)) == 2


async def test_a_copy_that_is_not_confirmed_leaves_the_original(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker does not confirm: nothing is lost, and the next run erases."""
    await park(broker, *(message(ORDER, body(ORDER)) for _ in range(3)), message(OTHER, body(OTHER)))

    async def refused(*_: object, **__: object) -> None:
        raise edge.PublishFailed("planted")

    with monkeypatch.context() as patched:
        patched.setattr(edge, "publish", refused)
        with pytest.raises(edge.PublishFailed):
            await resting.erase(broker.url, TOPOLOGY, [ORDER])
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {DLQ: 3}
    found = await all_in(broker, DLQ, 4)
    assert sorted(bool(leaked(each.body)) for each in found.values()) == [False, False, False, True]


async def test_many_others_stay(broker: Broker) -> None:
    """A full queue comes back whole."""
    others = [message(OTHER, body(OTHER)) for _ in range(300)]
    await park(broker, *others[:150], message(ORDER, body(ORDER)), *others[150:])
    assert await resting.erase(broker.url, TOPOLOGY, [ORDER]) == {DLQ: 1}
    found = await all_in(broker, DLQ, 301)
    assert {str(each.message_id) for each in others} < found.keys()
