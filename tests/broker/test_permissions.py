"""A service needs no right but to read its own queues and to write to the system's exchanges."""

import aio_pika
import httpx2
import pytest
from aio_pika.exceptions import AMQPError
from pydantic import SecretStr

from devstack.servers import RabbitServer
from messaging.database import Database
from messaging.settings import ServiceSettings
from tests.broker.conftest import TIERS
from tests.broker.probe import Passing, Probe, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted

QUEUE = "probe.order.created"
EXCHANGES = r"^orders\.(events|dead|requeue|retry\..*)$"


@pytest.fixture
def narrow_url(broker: Broker, rabbitmq_server: RabbitServer) -> str:
    """The broker's URL for a user who may declare nothing."""
    management, vhost = rabbitmq_server.management_url, broker.url.rpartition("/")[2]
    rights = {"configure": "^$", "write": EXCHANGES, "read": rf"^{QUEUE.replace('.', '[.]')}$"}
    httpx2.put(f"{management}/api/users/probe", json={"password": "probe", "tags": ""}).raise_for_status()
    httpx2.put(f"{management}/api/permissions/{vhost}/probe", json=rights).raise_for_status()
    return f"amqp://probe:probe@127.0.0.1:{rabbitmq_server.port}/{vhost}"


async def test_a_service_declares_nothing(broker: Broker, narrow_url: str, probe_database: Database) -> None:
    """With the least rights a service consumes, retries, parks and answers."""
    probe = Probe()
    flaky, hopeless = orders(2)
    probe.failures = {flaky.order_id: [Passing("once")], hopeless.order_id: [Passing("always")]}
    probe.forever.add(hopeless.order_id)
    settings = ServiceSettings(
        amqp_url=SecretStr(narrow_url), database_url=SecretStr(probe_database.url), retry_tiers=TIERS
    )
    async with consuming(probe.build(settings)):
        await broker.publish(*orders(10))
        parked = await broker.take(f"{QUEUE}.dlq")
        await until(lambda: _said(broker))
    assert parked.message_id == str(hopeless.event_id)
    assert await counted(probe_database) == (9, 9)


async def test_the_rights_are_narrow(narrow_url: str) -> None:
    """The same user can neither read another queue nor make one."""
    async with await aio_pika.connect(narrow_url) as connection:
        with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
            await (await (await connection.channel()).get_queue(f"{QUEUE}.dlq", ensure=False)).get(no_ack=True)
        with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
            await (await connection.channel()).declare_queue("mine")


async def _said(broker: Broker) -> bool:
    return await broker.depth("orders.unrouted") == 9
