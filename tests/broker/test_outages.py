"""Servers and networks that fail: ridden out without a restart, nothing lost, nothing twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager

import aio_pika
import pytest
import pytest_asyncio
from sqlalchemy import text

from devstack.servers import PostgresServer, RabbitServer
from messaging import pipeline
from messaging.database import Database
from messaging.declare import apply
from messaging.metrics import Outcome
from messaging.service import Service
from messaging.topology import topology
from tests.broker.probe import Model, Passing, Probe, orders
from tests.broker.proxy import proxy_for
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of

OwnPostgres = Callable[[], AbstractContextManager[PostgresServer]]
OwnRabbitMQ = Callable[[], AbstractContextManager[RabbitServer]]

QUEUE = "probe.order.created"
DLQ = f"{QUEUE}.dlq"
COUNT = 100
LONG_TIERS = ("500ms", "1s", "2s", "4s")
YOUNG_QUEUE = 3.0
"""Seconds after which a quorum queue keeps what it confirmed through a kill of its only node (measured)."""


async def all_counted(broker: Broker, database: Database, count: int = COUNT) -> bool:
    """Whether every order was counted and every queue is empty."""
    return (await counted(database))[0] == count and await broker.depth(QUEUE) == 0


async def trickle(broker: Broker, count: int = COUNT) -> None:
    """Publish orders, a few at a time."""
    events = orders(count)
    for start in range(0, count, 5):
        await broker.publish(*events[start : start + 5])
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def own_database(own_postgres: OwnPostgres) -> AsyncGenerator[tuple[PostgresServer, Database]]:
    """A PostgreSQL server that the test may stop."""
    with own_postgres() as server:
        database = Database(server.create_database("probe"), name="probe")
        async with database.engine.begin() as connection:
            await connection.run_sync(Model.metadata.create_all)
        yield server, database
        await database.close()


async def test_the_database_is_stopped_and_comes_back(
    broker: Broker, own_database: tuple[PostgresServer, Database]
) -> None:
    """While PostgreSQL is gone the intake pauses and no attempt is burned; when it is back every order is counted."""
    server, database = own_database
    probe = Probe()
    async with consuming(service_of(probe, broker, database)) as service:
        sending = asyncio.create_task(trickle(broker))
        await until(lambda: _some(database))
        await asyncio.to_thread(server.immediate_stop)
        await until(lambda: _paused(service))
        await sending
        await asyncio.to_thread(server.start)
        await until(lambda: all_counted(broker, database), 40)
        await until(lambda: _consuming(service))
    assert await counted(database) == (COUNT, COUNT)
    assert await broker.depth(DLQ) == 0


async def test_a_suspect_is_not_kept_for_ever(
    broker: Broker, own_database: tuple[PostgresServer, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redelivered message that waits for its database goes back to its queue before the broker's patience ends."""
    server, database = own_database
    monkeypatch.setattr(pipeline, "LONGEST_HOLD", 0.2)
    queue = await broker.channel.get_queue(QUEUE, ensure=False)
    await broker.publish(*orders(1))
    taken = await queue.get()
    async with consuming(service_of(Probe(), broker, database)) as service:
        await asyncio.to_thread(server.immediate_stop)
        await taken.nack(requeue=True)

        async def returned() -> float | None:
            labels = {"queue": QUEUE, "outcome": Outcome.RETURNED}
            return service.metrics.registry.get_sample_value("orders_handled_total", labels)

        await until(returned)
        await asyncio.to_thread(server.start)
        await until(lambda: all_counted(broker, database, 1), 40)
    assert await counted(database) == (1, 1)
    assert await broker.depth(DLQ) == 0


async def test_a_read_only_database_is_an_absent_one(
    broker: Broker, own_database: tuple[PostgresServer, Database]
) -> None:
    """While PostgreSQL takes no writes the intake pauses and no attempt is burned; then every order is counted."""
    _, database = own_database
    async with consuming(service_of(Probe(), broker, database)) as service:
        await _read_only(database, on=True)
        await trickle(broker)
        await until(lambda: _paused(service))
        await _read_only(database, on=False)
        await until(lambda: all_counted(broker, database), 40)
    assert await counted(database) == (COUNT, COUNT)
    assert await broker.depth(DLQ) == 0


async def _read_only(database: Database, *, on: bool) -> None:
    """Let the database take no writes, or take them again; who is connected must connect anew."""
    name = database.url.rpartition("/")[2]
    async with database.engine.connect() as connection:
        admin = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await admin.execute(text("SET default_transaction_read_only TO off"))
        await admin.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only TO {'on' if on else 'off'}"))
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        await admin.execute(text(others), {"name": name})


async def test_a_lost_reply_to_commit_is_no_second_effect(broker: Broker, probe_database: Database) -> None:
    """The connection is reset in place of the reply to a COMMIT: the work is found done, and counted once."""
    lost = [b"COMMIT"] * 3

    def at_commit(reply: bytes) -> bool:
        return bool(lost) and lost[0] in reply and bool(lost.pop())

    async with proxy_for(probe_database.url) as proxy:
        through = Database(proxy.url(probe_database.url), name="probe")
        async with consuming(service_of(Probe(), broker, through)):
            proxy.before_reply = at_commit
            await trickle(broker)
            await until(lambda: all_counted(broker, probe_database), 40)
        await through.close()
    assert not lost
    assert await counted(probe_database) == (COUNT, COUNT)
    assert await broker.depth(DLQ) == 0


async def test_a_silent_database_is_noticed(broker: Broker, probe_database: Database) -> None:
    """A network that swallows everything for seconds ends statements in time; afterwards every order is counted."""
    async with proxy_for(probe_database.url) as proxy:
        through = Database(proxy.url(probe_database.url), name="probe")
        async with consuming(service_of(Probe(), broker, through)) as service:
            proxy.hush()
            await trickle(broker)
            await until(lambda: _paused(service))
            proxy.speak()
            await until(lambda: all_counted(broker, probe_database), 40)
        await through.close()
    assert await counted(probe_database) == (COUNT, COUNT)
    assert await broker.depth(DLQ) == 0


async def test_connections_to_the_broker_are_reset(broker: Broker, probe_database: Database) -> None:
    """Every connection to RabbitMQ is cut, again and again under load: what was not acked comes again, once."""
    async with proxy_for(broker.url) as proxy:
        near = Broker(proxy.url(broker.url), broker.channel)
        async with consuming(service_of(Probe(), near, probe_database)) as service:
            sending = asyncio.create_task(trickle(broker))
            for _ in range(3):
                await asyncio.sleep(0.1)
                proxy.reset()
                await until(lambda: _consuming(service))
            await sending
            await until(lambda: all_counted(broker, probe_database), 40)
            await until(lambda: _unsent(probe_database, 0))
    assert proxy.resets
    assert await counted(probe_database) == (COUNT, COUNT)
    said = {(await broker.take("orders.unrouted")).message_id for _ in range(COUNT)}
    while await broker.depth("orders.unrouted"):
        said.add((await broker.take("orders.unrouted")).message_id)
    assert len(said) == COUNT


@pytest.mark.slow
async def test_a_silent_broker_is_noticed(broker: Broker, probe_database: Database) -> None:
    """A black hole between service and broker is noticed by heartbeats, and work goes on when it ends."""
    async with proxy_for(broker.url) as proxy:
        near = Broker(proxy.url(broker.url), broker.channel)
        async with consuming(service_of(Probe(), near, probe_database)) as service:
            proxy.hush()
            await trickle(broker)
            await until(lambda: _unready(service), 40)
            proxy.speak()
            proxy.reset()
            await until(lambda: all_counted(broker, probe_database), 60)
    assert await counted(probe_database) == (COUNT, COUNT)


async def _some(database: Database) -> bool:
    return (await counted(database))[0] > 0


async def _paused(service: Service) -> bool:
    return service.intake.paused


async def _consuming(service: Service) -> bool:
    return not await service.health.problems()


async def _unready(service: Service) -> bool:
    return bool(await service.health.problems())


async def _unsent(database: Database, count: int) -> bool:
    async with database.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM outbox WHERE sent_at IS NULL"))
        return found.scalar_one() == count


@pytest.mark.slow
async def test_rabbitmq_is_killed_three_times_in_a_retry_storm(
    own_rabbitmq: OwnRabbitMQ, probe_database: Database
) -> None:
    """Killed and restarted while every message waits in a tier: none is lost, each is counted once."""
    probe = Probe()
    for event in orders(COUNT):
        probe.failures[event.order_id] = [Passing("not yet"), Passing("not yet"), Passing("not yet")]
    with own_rabbitmq() as server:
        await apply(topology([QUEUE], LONG_TIERS), server.amqp_url)
        await asyncio.sleep(YOUNG_QUEUE)
        async with await aio_pika.connect_robust(server.amqp_url) as connection:
            near = Broker(server.amqp_url, await connection.channel())
            async with consuming(service_of(probe, near, probe_database, retry_tiers=LONG_TIERS)) as service:
                await trickle(near)
                for _ in range(3):
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                    await until(lambda: _consuming(service), 40)
                await until(lambda: all_counted(near, probe_database), 60)
                await until(lambda: _unsent(probe_database, 0), 30)
                dead = await near.depth(DLQ)
    assert await counted(probe_database) == (COUNT, COUNT)
    assert dead == 0


async def test_a_memory_alarm_blocks_publishers_only(own_rabbitmq: OwnRabbitMQ, probe_database: Database) -> None:
    """Under a memory alarm publishes wait and consumers go on; when it ends everything is sent, once."""
    with own_rabbitmq() as server:
        await apply(topology([QUEUE], ("1s",)), server.amqp_url)
        async with await aio_pika.connect(server.amqp_url) as connection:
            near = Broker(server.amqp_url, await connection.channel())
            await near.publish(*orders(COUNT))
            await asyncio.to_thread(server.ctl, "set_vm_memory_high_watermark", "0.0001")
            async with consuming(service_of(Probe(), near, probe_database, retry_tiers=("1s",), publish_timeout=1)):
                await until(lambda: _applied(probe_database))
                await asyncio.to_thread(server.ctl, "set_vm_memory_high_watermark", "0.4")
                await until(lambda: _unsent(probe_database, 0), 30)
                await until(lambda: all_counted(near, probe_database), 30)
    assert await counted(probe_database) == (COUNT, COUNT)


async def _applied(database: Database) -> bool:
    return (await counted(database))[0] == COUNT
