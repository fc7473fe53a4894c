"""Processes that stop, freeze and share the work."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr

from messaging.database import Database
from messaging.settings import ServiceSettings
from tests.broker import processes
from tests.broker.conftest import TIERS
from tests.broker.probe import orders
from tests.broker.rabbit import Broker, one, until

COUNT = 600
QUEUE = "payment.order.created"
SAID = "test.payment.authorized"

Databases = Callable[[str], Awaitable[Database]]


def settings_for(broker: Broker, database: Database) -> ServiceSettings:
    """Payment's settings for this broker and database."""
    return ServiceSettings(amqp_url=SecretStr(broker.url), database_url=SecretStr(database.url), retry_tiers=TIERS)


async def test_a_polite_stop_loses_and_redelivers_nothing(payments: Broker, service_database: Databases) -> None:
    """SIGTERM under load: what was taken is finished, what was not taken stays in the queue as if never delivered."""
    database = await service_database("payment")
    settings = settings_for(payments, database)
    await payments.publish(*orders(COUNT))
    service = await processes.start("payment", settings, PAYMENT_PREFETCH="50", PAYMENT_GATEWAY_LATENCY="0.1")
    await until(lambda: _authorized(database, 50))
    started = time.monotonic()
    service.signal(signal.SIGTERM)
    assert await service.ended() == 0
    assert time.monotonic() - started < 15
    done = await one(database, "SELECT count(*) FROM payments")
    assert await one(database, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
    rest = await payments.depth(QUEUE)
    assert done + rest == COUNT
    assert rest, "the service was stopped too late to tell"
    redelivered = [(await payments.take(QUEUE)).redelivered for _ in range(rest)].count(True)
    assert redelivered == 0


async def test_two_replicas_share_the_work(payments: Broker, service_database: Databases) -> None:
    """Two processes on one queue apply each order once, even when every order was published twice."""
    database = await service_database("payment")
    settings = settings_for(payments, database)
    pair = [await processes.start("payment", settings, PAYMENT_PREFETCH="20") for _ in range(2)]
    for service in pair:
        await service.ready()
    await payments.publish(*orders(COUNT), *orders(COUNT))
    await until(lambda: _authorized(database, COUNT), 40)
    await until(lambda: _empty(payments), 40)
    assert [await service.stop() for service in pair] == [0, 0]
    assert await one(database, "SELECT count(*) FROM gateway_accounts WHERE status = 'held'") == COUNT
    assert await one(database, "SELECT count(DISTINCT event_id) FROM outbox") == COUNT
    assert await one(database, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
    assert await payments.depth(f"{QUEUE}.dlq") == 0


@pytest.mark.slow
async def test_a_frozen_consumer_is_replaced(payments: Broker, service_database: Databases) -> None:
    """A consumer frozen for half a minute: another takes over, and the zombie's late work changes nothing."""
    database = await service_database("payment")
    settings = settings_for(payments, database)
    frozen = await processes.start("payment", settings, PAYMENT_PREFETCH="50", PAYMENT_GATEWAY_LATENCY="0.2")
    await frozen.ready()
    await payments.publish(*orders(COUNT))
    await until(lambda: _authorized(database, 50))
    frozen.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    other = await processes.start("payment", settings)
    await until(lambda: _authorized(database, COUNT), 40)
    taken_over = time.monotonic() - stopped
    await asyncio.sleep(max(0.0, 30 - taken_over))
    frozen.signal(signal.SIGCONT)
    await until(lambda: _empty(payments), 40)
    await frozen.ready()
    assert [await frozen.stop(), await other.stop()] == [0, 0]
    assert await one(database, "SELECT count(*) FROM gateway_accounts WHERE status = 'held'") == COUNT
    assert await one(database, "SELECT count(*) FROM payments WHERE state = 'authorized'") == COUNT
    assert await payments.depth(f"{QUEUE}.dlq") == 0
    assert taken_over < 30


async def _authorized(database: Database, count: int) -> bool:
    return await one(database, "SELECT count(*) FROM payments WHERE state = 'authorized'") >= count


async def _empty(broker: Broker) -> bool:
    return await broker.depth(QUEUE) == 0
