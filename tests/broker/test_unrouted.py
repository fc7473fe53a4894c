"""An event that nobody is bound to is kept and counted, never lost silently."""

import aio_pika

from messaging.database import Database
from messaging.topology import EVENTS
from tests.broker.probe import Probe, body, options, order, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of


async def test_an_unrouted_event_is_kept(broker: Broker) -> None:
    """An event whose routing key has no queue is confirmed, and lies in orders.unrouted as it was sent."""
    event = order(1)
    exchange = await broker.channel.get_exchange(EVENTS, ensure=False)
    await exchange.publish(aio_pika.Message(body(event), **options(event)), routing_key="nobody.listens")
    kept = await broker.take("orders.unrouted")
    assert (kept.body, kept.message_id, kept.routing_key) == (body(event), str(event.event_id), "nobody.listens")


async def test_what_a_service_says_to_nobody_does_not_hold_it_up(broker: Broker, probe_database: Database) -> None:
    """A service whose answers have no queue goes on; each answer is kept once."""
    async with consuming(service_of(Probe(), broker, probe_database)):
        await broker.publish(*orders(30))
        await until(lambda: _all_kept(broker, 30))
    assert await counted(probe_database) == (30, 30)


async def _all_kept(broker: Broker, count: int) -> bool:
    return await broker.depth("orders.unrouted") == count
