"""Messages that wait on a broker are read without being taken from it, and copies of those that flow are recorded."""

import asyncio
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import aio_pika
import pytest_asyncio

from contracts import EVENTS, OrderCreated
from devstack.servers import RabbitServer
from messaging.compatibility.recording import record, recorded
from messaging.compatibility.samples import queued, read
from messaging.declare import apply
from messaging.topology import DEAD, UNROUTED, retry_tier, topology
from tests.broker.probe import body, options, orders
from tests.broker.rabbit import Broker, until, virtual_host

TIER, SHORT_TIER = "1h", "50ms"
QUEUE = "payment.order.created"
TOPOLOGY = topology([QUEUE, "payment.shipping.ready"], [TIER, SHORT_TIER])


@pytest_asyncio.fixture
async def broker(rabbitmq_server: RabbitServer) -> AsyncGenerator[Broker]:
    """A virtual host with two work queues and a tier in which messages stay."""
    url = await virtual_host(rabbitmq_server)
    await apply(TOPOLOGY, url)
    async with await aio_pika.connect(url) as connection:
        yield Broker(url, await connection.channel())


async def send(broker: Broker, exchange: str, event: OrderCreated, **changes: object) -> None:
    """Send an order on its way as the queue's service would."""
    message = aio_pika.Message(**{"body": body(event), **options(event), **changes})  # type: ignore[arg-type]
    await (await broker.channel.get_exchange(exchange, ensure=False)).publish(message, routing_key=QUEUE)


async def depths(broker: Broker) -> dict[str, int]:
    """How many messages wait in each queue that holds any."""
    found = {queue.name: await broker.depth(queue.name) for queue in TOPOLOGY.queues}
    return {name: count for name, count in found.items() if count}


async def test_reading_takes_nothing_away(broker: Broker) -> None:
    """Parked, waiting and unrouted messages are read again and again; each stays where it was, in its order."""
    waiting = orders(5)
    for order in waiting:
        await send(broker, DEAD, order)
    await send(broker, retry_tier(TIER), waiting[0])
    await send(broker, UNROUTED, waiting[1])
    await broker.publish(waiting[2])
    before = {f"{QUEUE}.dlq": 5, retry_tier(TIER): 1, UNROUTED: 1, QUEUE: 1}
    assert await depths(broker) == before
    for _ in range(3):
        samples, left = await queued(TOPOLOGY, broker.url, 100)
        assert left == []
        assert len(samples) == 8
        assert [each.problem for each in (read(sample, EVENTS.values()) for sample in samples)] == [""] * 8
        await until(lambda: _holds(broker, before))
    taken = [await broker.take(f"{QUEUE}.dlq") for _ in waiting]
    assert [message.message_id for message in taken] == [str(order.event_id) for order in waiting]


async def test_a_message_that_is_looked_at_returns_from_its_tier(broker: Broker) -> None:
    """Looked at again and again, messages go back to their work queue when their time is over, each once."""
    for order in orders(20):
        await send(broker, retry_tier(SHORT_TIER), order)
    tiers = topology([], [SHORT_TIER])

    async def back() -> bool:
        await queued(tiers, broker.url, 100)
        return await broker.depth(QUEUE) == 20

    await until(back)
    assert await depths(broker) == {QUEUE: 20}


async def test_no_more_than_asked_for_is_read(broker: Broker) -> None:
    """A long queue is looked at, not loaded."""
    for order in orders(5):
        await send(broker, DEAD, order)
    samples, _ = await queued(TOPOLOGY, broker.url, 2)
    assert [sample.message_id for sample in samples] == [str(order.event_id) for order in orders(2)]


async def test_a_queue_that_is_consumed_is_left_alone(broker: Broker) -> None:
    """Its messages would come to the service marked as redelivered; a queue that is not there is no error."""
    await broker.publish(*orders(3))
    seen: list[bool] = []
    source = await broker.channel.get_queue(QUEUE, ensure=False)
    await broker.channel.set_qos(prefetch_count=1)

    async def keep(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        seen.append(bool(message.redelivered))

    await source.consume(keep)
    more = topology([QUEUE, "payment.never.declared"], [TIER])
    samples, left = await queued(more, broker.url, 100)
    assert (samples, left) == ([], [QUEUE])
    assert await broker.depth(QUEUE) == 2
    assert seen == [False]


async def test_what_flows_is_recorded_and_flows_on(
    broker: Broker, rabbitmq_server: RabbitServer, tmp_path: Path
) -> None:
    """Copies are written to private files that can be read with today's models; nothing unrouted is swallowed."""
    folder = tmp_path / "samples"
    recording = asyncio.create_task(record(folder, broker.url, rabbitmq_server.management_url, most=3, seconds=60))
    published = 0
    while not recording.done():
        event = orders(1, start=published + 1)[0]
        await broker.publish(event)
        await (await broker.channel.get_exchange("orders.events", ensure=False)).publish(
            aio_pika.Message(body(event), **options(event)), routing_key="order.unheard_of"
        )
        published += 1
    assert await recording == 3
    assert await broker.depth(QUEUE) == published
    assert await broker.depth(UNROUTED) == published
    samples = list(recorded(folder))
    assert [read(sample, EVENTS.values()).problem for sample in samples] == [""] * 3
    assert {sample.routing_key for sample in samples} == {"order.created"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_recording_ends_in_time(broker: Broker, rabbitmq_server: RabbitServer, tmp_path: Path) -> None:
    """Where nothing flows, nothing is recorded, and the command returns."""
    assert await record(tmp_path, broker.url, rabbitmq_server.management_url, most=3, seconds=0.2) == 0


async def _holds(broker: Broker, wanted: dict[str, int]) -> bool:
    return await depths(broker) == wanted
