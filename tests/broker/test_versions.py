"""A rolling upgrade from one version of an event to the next, on a real broker."""

from collections.abc import Awaitable, Callable

import aio_pika
from pydantic import SecretStr

import payment.app
from contracts import OrderCreated
from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.declare import apply
from messaging.topology import topology
from payment.settings import Settings
from tests.broker.conftest import TIERS
from tests.broker.probe import orders
from tests.broker.rabbit import Broker, consuming, one, until, virtual_host
from tests.compatibility.versions import OrderCreatedV2, upgraded

COUNT = 20
OLD, NEW = "payment.order.created", "payment.order.created.v2"


def version_2(order: OrderCreated) -> OrderCreatedV2:
    """An order as the upgraded producer says it."""
    example = OrderCreatedV2.example()
    identity = {"order_id": order.order_id, "event_id": OrderCreatedV2.id_for(order.order_id)}
    return example.model_copy(update=identity)


async def test_both_versions_are_consumed_during_a_rolling_upgrade(
    rabbitmq_server: RabbitServer, service_database: Callable[[str], Awaitable[Database]]
) -> None:
    """Topology first, then consumers beside each other, then producers: every order is paid once, nothing is parked."""
    url, database = await virtual_host(rabbitmq_server), await service_database("payment")
    settings = Settings(
        amqp_url=SecretStr(url), database_url=SecretStr(database.url), retry_tiers=TIERS, gateway_latency=0
    )
    before = payment.app.build(settings)
    after = upgraded(settings)
    await apply(topology(after.routes, TIERS), url)
    early, meanwhile, late = (orders(COUNT, start) for start in (1, 101, 201))
    async with await aio_pika.connect(url) as connection:
        broker = Broker(url, await connection.channel())
        await broker.publish(*map(version_2, late[:1]))  # before anybody knows it: its queue keeps it
        async with consuming(before):
            await broker.publish(*early)
            async with consuming(after):
                await broker.publish(*meanwhile, *map(version_2, late), *map(version_2, early))
                await until(lambda: _authorized(database, 3 * COUNT))
        async with consuming(after):
            await broker.publish(*map(version_2, meanwhile))
            await until(lambda: _empty(broker))
        assert [await broker.depth(f"{queue}.dlq") for queue in (OLD, NEW)] == [0, 0]
        assert [await broker.depth(f"orders.retry.{tier}") for tier in TIERS] == [0, 0, 0]
    assert await one(database, "SELECT count(*) FROM gateway_accounts WHERE status = 'held'") == 3 * COUNT
    assert await one(database, "SELECT count(*) FROM payments WHERE anomalies <> '[]'") == 0
    assert await one(database, "SELECT count(DISTINCT event_id) FROM outbox") == 3 * COUNT


async def _authorized(database: Database, wanted: int) -> bool:
    return await one(database, "SELECT count(*) FROM payments WHERE state = 'authorized'") == wanted


async def _empty(broker: Broker) -> bool:
    return [await broker.depth(queue) for queue in (OLD, NEW)] == [0, 0]
