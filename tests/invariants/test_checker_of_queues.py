"""Each kind of violation on the broker is found and names its queue."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio

from devstack.servers import RabbitServer
from messaging.topology import DEAD, REQUEUE, topology
from tests.broker.rabbit import until, virtual_host
from tests.invariants.checker import Checker, NotDrained
from tests.invariants.conftest import Vhost, World, execute, keep
from tests.invariants.design import CONTROL_ROOM
from tests.invariants.expectations import Parked, Violation
from tests.invariants.queues import Broker
from tests.invariants.rules import nothing_is_dropped, queues_are_well
from tests.invariants.world import EXPECTED, READY, REJECTED, event_id


@pytest_asyncio.fixture(loop_scope="session")
async def own_vhost(rabbitmq_server: RabbitServer) -> AsyncGenerator[Vhost]:
    """An empty virtual host of the test's own."""
    url = await virtual_host(rabbitmq_server)
    async with await aio_pika.connect(url) as connection:
        yield Vhost(url, rabbitmq_server.management_url, await connection.channel())


DECLINED = event_id(REJECTED, "payment.declined")
_HELD = f"""
    INSERT INTO dead_letters (id, queue, identity, service, event, message_id, order_id, redrive, size, properties,
        headers, error_class, reason, fingerprint, attempts, first_failed_at, last_failed_at, stored_at, state)
    VALUES (gen_random_uuid(), 'order_api.payment.declined', 'one', 'order_api', 'payment.declined', '{DECLINED}',
        '{REJECTED}', 0, 2, '{{}}', '{{}}', 'GatewayDown', 'down', 'f', 1, now(), now(), now(), 'open')
"""  # noqa: S608 - constants

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the loop of the virtual host's channel


async def test_a_parked_message_is_not_lost(world: World) -> None:
    """A message in its dead-letter queue counts as parked, if it was expected there; one that was not is named."""
    message = aio_pika.Message(
        b"{}",
        message_id=str(DECLINED),
        correlation_id=REJECTED,
        headers={"x-error-class": "GatewayDown"},
    )
    dead = await world.vhost.channel.get_exchange(DEAD, ensure=False)
    lost = f"DELETE FROM inbox WHERE event_id = '{message.message_id}'"  # noqa: S608 - a constant
    await world.change("order_api", lost)
    await dead.publish(message, "order_api.payment.declined")
    try:
        parked = Parked("order_api.payment.declined", REJECTED, "GatewayDown")
        await world.checker.drain(seconds=5)
        assert await world.checker.violations(EXPECTED, [parked]) == []
        found = await world.checker.violations(EXPECTED)
        told = f"order {REJECTED}: a message is parked from order_api.payment.declined for GatewayDown"
        assert found == [Violation("I6", told)]
    finally:
        await _purge(world, "order_api.payment.declined.dlq")


async def test_a_message_in_custody_is_not_lost(world: World, control_room: str) -> None:
    """What the control room took counts as parked, if it was expected; what it has not taken yet is on its way."""
    await world.change("order_api", f"DELETE FROM inbox WHERE event_id = '{DECLINED}'")  # noqa: S608 - constants
    checker = Checker({**world.databases, CONTROL_ROOM: control_room}, world.vhost.url, world.vhost.management_url)
    with pytest.raises(NotDrained, match=r"1 order_api\.payment\.declined"):
        await checker.drain(seconds=0)
    await execute(control_room, _HELD)
    await checker.drain(seconds=5)
    assert await checker.violations(EXPECTED, [Parked("order_api.payment.declined", REJECTED, "GatewayDown")]) == []
    told = f"order {REJECTED}: a message is parked from order_api.payment.declined for GatewayDown"
    assert await checker.violations(EXPECTED) == [Violation("I6", told)]
    dead = await world.vhost.channel.get_exchange(DEAD, ensure=False)
    await dead.publish(aio_pika.Message(b"{}"), "order_api.payment.declined")
    try:
        with pytest.raises(NotDrained, match=r"1 order_api\.payment\.declined\.dlq"):
            await checker.drain(seconds=0)
    finally:
        await _purge(world, "order_api.payment.declined.dlq")


async def test_a_message_that_should_be_parked_and_is_not_is_found(world: World) -> None:
    """A dead letter that is expected and missing is a violation."""
    found = await world.checker.violations(EXPECTED, [Parked("payment.order.created", READY, "GatewayDown")])
    told = f"order {READY}: none is parked from payment.order.created for GatewayDown"
    assert found == [Violation("I6", told)]


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        ("orders.retry.1h", "1 messages that wait are in orders.retry.1h"),
        ("orders.unrouted", "1 messages that nobody was bound to are in orders.unrouted"),
    ],
)
async def test_a_message_left_in_a_queue_is_found(world: World, queue: str, message: str) -> None:
    """Whatever waits in a tier, or was published for nobody, is named with its queue."""
    exchange = await world.vhost.channel.get_exchange(queue, ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "payment.order.created")
    try:
        assert await world.checker.violations(EXPECTED) == [Violation("I6", message)]
    finally:
        await _purge(world, queue)


async def test_a_queue_that_nobody_consumes_is_found(world: World) -> None:
    """A work queue without a consumer is named."""
    name = "shipping.inventory.reserved"
    queue = await world.vhost.channel.get_queue(name, ensure=False)
    await queue.cancel(name)
    try:
        assert await world.checker.violations(EXPECTED) == [Violation("I6", f"nobody consumes {name}")]
    finally:
        await queue.consume(keep, consumer_tag=name)


async def test_a_missing_queue_is_found(world: World) -> None:
    """A queue that the design calls for, and the broker does not have, is named."""
    name = "shipping.inventory.reserved.dlq"
    await (await world.vhost.channel.get_queue(name, ensure=False)).delete(if_unused=False, if_empty=False)
    try:
        assert await world.checker.violations(EXPECTED) == [Violation("I6", f"queue {name} is missing")]
    finally:
        wanted = next(queue for queue in topology([name.removesuffix(".dlq")]).queues if queue.name == name)
        queue = await world.vhost.channel.declare_queue(name, durable=True, arguments=dict(wanted.arguments))
        await queue.bind(DEAD, name.removesuffix(".dlq"))


async def test_an_invisible_message_is_found(world: World) -> None:
    """A message that a tier cannot hand back to any queue is kept by the broker out of sight, and found."""
    channel, name = world.vhost.channel, "orders.retry.invisible"
    arguments: dict[str, str | int] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": REQUEUE,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": 10,
        "x-dead-letter-routing-key": "nobody.hears.this",
    }
    queue = await channel.declare_queue(name, durable=True, arguments=dict(arguments))
    try:
        await queue.bind(REQUEUE, name)
        await (await channel.get_exchange(REQUEUE, ensure=False)).publish(aio_pika.Message(b"{}"), name)
        impatient = Broker(world.vhost.url, world.vhost.management_url, patience=0)

        async def found() -> bool:
            violations = list(queues_are_well(await impatient.read(), ()))
            return Violation("I6", f"1 messages of {name} are neither ready nor unacknowledged") in violations

        await until(found)
    finally:
        await queue.delete(if_empty=False, if_unused=False)


async def test_a_message_dropped_as_unroutable_is_found(own_vhost: Vhost) -> None:
    """A message for a queue that is not there, whose publisher did not ask to be told, is counted by the broker."""
    broker = Broker(own_vhost.url, own_vhost.management_url)
    exchange = await own_vhost.channel.get_exchange("amq.direct", ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "nobody", mandatory=False)

    async def found() -> bool:
        told = Violation("I8", "1 messages were dropped as unroutable")
        return list(nothing_is_dropped(await broker.drops())) == [told]

    await until(found)


async def test_messages_that_go_round_are_found(own_vhost: Vhost, rabbitmq_server: RabbitServer) -> None:
    """A queue whose expired messages come back to it loses them; the node says so in its log, once."""
    broker = Broker(own_vhost.url, own_vhost.management_url, log=rabbitmq_server.folder / "rabbitmq.log")
    name = f"round.{uuid4()}"
    arguments: dict[str, str | int] = {
        "x-queue-type": "quorum",
        "x-message-ttl": 10,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": name,
    }
    await own_vhost.channel.declare_queue(name, durable=True, arguments=dict(arguments))
    await own_vhost.channel.default_exchange.publish(aio_pika.Message(b"{}"), name)

    async def found() -> bool:
        told = Violation("I8", f"messages that went round were dropped: {name}")
        return list(nothing_is_dropped(await broker.drops())) == [told]

    await until(found)


async def _purge(world: World, queue: str) -> None:
    await (await world.vhost.channel.get_queue(queue, ensure=False)).purge()
