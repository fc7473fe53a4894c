"""A changed queue argument: planned, and carried out under load without losing a message."""

import asyncio

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed

from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.declare import apply
from messaging.management import read_broker, virtual_host
from messaging.plan import Plan, plan
from messaging.queue_move import Mover
from messaging.topology import (
    DEAD,
    REQUEUE,
    Argument,
    Queue,
    Topology,
    dead_letter_queue,
    moving,
    retry_tier,
    topology,
)
from messaging.verify import compare
from tests.broker.conftest import TIERS
from tests.broker.probe import Probe, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of

WORK = "probe.order.created"
TIER = retry_tier(TIERS[-1])
WANTED = topology([WORK], TIERS)
BACKLOG = 500
"""Messages that wait at most while a queue is moved."""
STALE = 4.0
"""The suite's broker beats every second."""


def changed(name: str, **arguments: Argument) -> Topology:
    """The topology with other arguments of one queue."""
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    return WANTED.model_copy(
        update={
            "queues": tuple(
                queue.model_copy(update={"arguments": {**queue.arguments, **given}}) if queue.name == name else queue
                for queue in WANTED.queues
            )
        }
    )


def queue_of(wanted: Topology, name: str) -> Queue:
    """The queue of that name."""
    return next(queue for queue in wanted.queues if queue.name == name)


async def planned(broker: Broker, server: RabbitServer, wanted: Topology) -> Plan:
    """What there is to do."""
    return plan(wanted, compare(wanted, await read_broker(server.management_url, virtual_host(broker.url))))


def mover(broker: Broker, server: RabbitServer) -> Mover:
    """It knows how fast the suite's broker beats."""
    return Mover(broker.url, server.management_url, stale=STALE)


async def test_nothing_is_planned_for_a_broker_as_documented(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    """A second apply has nothing to do."""
    assert await planned(broker, rabbitmq_server, WANTED) == Plan([], [], [])


async def test_a_changed_argument_is_refused_by_apply_and_planned(
    broker: Broker,
    rabbitmq_server: RabbitServer,
) -> None:
    """RabbitMQ answers PRECONDITION_FAILED; the plan is to make the queue anew."""
    wanted = changed(WORK, x_delivery_limit=60)
    with pytest.raises(ChannelPreconditionFailed):
        await apply(wanted, broker.url)
    assert [queue.name for queue in (await planned(broker, rabbitmq_server, wanted)).move] == [WORK]


async def test_an_exchange_that_differs_is_left_to_people(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    """It cannot be changed without a moment in which messages have no way."""
    await broker.channel.exchange_delete(DEAD)
    await broker.channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)
    found = await planned(broker, rabbitmq_server, WANTED)
    assert [drift.name for drift in found.refused] == [DEAD]


async def test_what_is_missing_is_declared(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    """Exchange, queue and bindings; what is there besides is left alone."""
    await broker.channel.exchange_delete(REQUEUE)
    await broker.channel.queue_delete(dead_letter_queue(WORK))
    await broker.channel.declare_queue("by-hand", durable=True)
    found = await planned(broker, rabbitmq_server, WANTED)
    assert {drift.what for drift in found.declare} == {"exchange", "queue", "binding"}
    assert [drift.name for drift in found.by_hand] == ["by-hand"]
    await apply(WANTED, broker.url)
    assert (await planned(broker, rabbitmq_server, WANTED)).empty


async def test_a_work_queue_is_made_anew_under_load(
    broker: Broker,
    probe_database: Database,
    rabbitmq_server: RabbitServer,
) -> None:
    """While a service consumes and orders keep coming, each is handled, once; the consumer comes back by itself."""
    wanted = changed(WORK, x_delivery_limit=60)
    probe = Probe()
    moved, sent = asyncio.Event(), 0

    async def load() -> int:
        nonlocal sent
        while not moved.is_set():
            if sent - (await counted(probe_database))[0] < BACKLOG:  # a busy machine would never catch up
                await broker.publish(*orders(20, start=sent + 1))
                sent += 20
            await asyncio.sleep(0.05)
        await broker.publish(*orders(20, start=sent + 1))
        return sent + 20

    async with consuming(service_of(probe, broker, probe_database)):
        loading = asyncio.create_task(load())
        await mover(broker, rabbitmq_server).move(queue_of(wanted, WORK), wanted)
        moved.set()
        total = await loading

        async def all_counted() -> bool:
            return await counted(probe_database) == (total, total)

        await until(all_counted, patience=60)
    assert total > 200
    assert (await planned(broker, rabbitmq_server, wanted)) == Plan([], [], [])
    assert await broker.depth(dead_letter_queue(WORK)) == 0
    assert await broker.depth("orders.unrouted") == total  # the answers, which nobody is bound to here


async def test_messages_at_rest_survive_as_they_are(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    """Parked messages are moved with body, headers and properties."""
    parked = dead_letter_queue(WORK)
    wanted = changed(parked, x_max_length=1_000_000)
    dead = await broker.channel.get_exchange(DEAD)
    for number in range(300):
        message = aio_pika.Message(
            str(number).encode(), headers={"x-error-class": "E", "x-attempt": 5}, message_id=str(number), app_id="probe"
        )
        await dead.publish(message, routing_key=WORK)
    await mover(broker, rabbitmq_server).move(queue_of(wanted, parked), wanted)
    found = [await broker.take(parked) for _ in range(300)]
    assert sorted(int(message.body) for message in found) == list(range(300))
    assert all(message.message_id == message.body.decode() and message.app_id == "probe" for message in found)
    for message in found:
        kept = {name: value for name, value in message.headers.items() if name != "x-delivery-count"}  # the queue's own
        assert kept == {"x-error-class": "E", "x-attempt": 5}
    assert (await planned(broker, rabbitmq_server, wanted)).empty


async def test_a_tier_still_finds_the_way_back(broker: Broker, rabbitmq_server: RabbitServer) -> None:
    """A message that waits in a tier keeps its routing key, and returns to its own queue from the tier made anew."""
    wanted = changed(TIER, x_max_length=5)
    tier = await broker.channel.get_exchange(TIER)
    spare = await broker.channel.declare_queue(
        moving(TIER), durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}
    )
    await spare.bind(tier)  # as an interrupted move leaves it
    await (await broker.channel.get_queue(TIER)).unbind(tier)
    await tier.publish(aio_pika.Message(b"{}", message_id="1"), routing_key=WORK)
    await mover(broker, rabbitmq_server).move(queue_of(wanted, TIER), wanted)
    assert (await broker.take(WORK)).body == b"{}"
    assert (await planned(broker, rabbitmq_server, wanted)).empty


async def test_an_interrupted_move_is_continued(
    broker: Broker,
    rabbitmq_server: RabbitServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends while messages are on their way; the next one finds the stand-in and completes the move."""
    wanted = changed(WORK, x_delivery_limit=60)
    await broker.publish(*orders(50))

    async def no_longer(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(Mover, "_drain", no_longer)
        with pytest.raises(ConnectionError):
            await mover(broker, rabbitmq_server).move(queue_of(wanted, WORK), wanted)
    assert [queue.name for queue in (await planned(broker, rabbitmq_server, wanted)).move] == [WORK]
    await mover(broker, rabbitmq_server).move(queue_of(wanted, WORK), wanted)
    assert await broker.depth(WORK) == 50
    assert (await planned(broker, rabbitmq_server, wanted)).empty
