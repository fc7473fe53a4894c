"""A service is killed at an edge, started again, and nothing is lost or done twice."""

import signal
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr

from messaging.database import Database
from messaging.settings import ServiceSettings
from tests.broker import processes
from tests.broker.conftest import TIERS
from tests.broker.probe import orders
from tests.broker.rabbit import Broker, one, until

COUNT = 30


@pytest.mark.parametrize(
    "point",
    [
        "group.commit.before:2",
        "event.publish.after:5",
        "message.ack.before:5",
        *(
            pytest.param(point, marks=pytest.mark.slow)  # ./run faults kills there, too
            for point in (
                "prepare.after:3",
                "group.commit.after:2",
                "event.publish.before:5",
                "message.ack.after:5",
                "sent.commit.before:1",
            )
        ),
    ],
)
async def test_killed_at_an_edge(
    payments: Broker, service_database: Callable[[str], Awaitable[Database]], point: str
) -> None:
    """Killed by SIGKILL at a named point and started again, every order is authorized once and its event is sent."""
    database = await service_database("payment")
    settings = ServiceSettings(
        amqp_url=SecretStr(payments.url), database_url=SecretStr(database.url), retry_tiers=TIERS
    )
    first = await processes.start("payment", settings, CRASH_AT=point, PAYMENT_GATEWAY_LATENCY="0")
    await first.ready()
    one_alone, *others = orders(COUNT)
    await payments.publish(one_alone)
    await until(lambda: one(database, "SELECT count(*) FROM payments"))  # so the others are no part of the first group
    await payments.publish(*others)
    assert await first.ended() == -signal.SIGKILL

    second = await processes.start("payment", settings, PAYMENT_GATEWAY_LATENCY="0")
    try:
        await until(lambda: _done(database))
    finally:
        assert await second.stop() == 0
    assert await one(database, "SELECT count(*) FROM payments WHERE state = 'authorized'") == COUNT
    assert await one(database, "SELECT count(*) FROM gateway_accounts WHERE status = 'held'") == COUNT
    assert await one(database, "SELECT count(DISTINCT event_id) FROM outbox") == COUNT
    said = {(await payments.take("test.payment.authorized")).message_id for _ in range(COUNT)}
    assert len(said) == COUNT or await _rest(payments, said) == COUNT


async def _done(database: Database) -> bool:
    """Whether all was said and every outbox row is marked as sent."""
    if await one(database, "SELECT count(*) FROM outbox") < COUNT:
        return False
    return not await one(database, "SELECT count(*) FROM outbox WHERE sent_at IS NULL")


async def _rest(broker: Broker, said: set[str | None]) -> int:
    """Take what was sent twice, too; returns how many different messages there were."""
    while await broker.depth("test.payment.authorized"):
        said.add((await broker.take("test.payment.authorized")).message_id)
    return len(said)
