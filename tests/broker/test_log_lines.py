"""Lines that handlers write, while many messages share a transaction."""

import json
import signal
from collections.abc import Awaitable, Callable

import httpx2
import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from contracts import OrderCreated, PaymentAuthorized
from messaging.database import Database
from messaging.logs import add_subject
from messaging.settings import ServiceSettings
from tests.broker import processes
from tests.broker.conftest import TIERS
from tests.broker.probe import Probe, Tally, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of

log = structlog.get_logger(__name__)
COUNT = 40


class Talker(Probe):
    """Its handler writes a line about each order."""

    async def count(self, event: OrderCreated, prepared: str, tally: Tally) -> PaymentAuthorized | None:
        """Count the order and say so, in the log, too."""
        log.info("counting", about=str(event.event_id))
        return await super().count(event, prepared, tally)


async def test_a_running_service_hears_signals_and_tells_its_numbers(
    payments: Broker, service_database: Callable[[str], Awaitable[Database]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Run as in production, a service tells more after SIGUSR1, answers `/metrics`, and goes on working."""
    database = await service_database("payment")
    settings = ServiceSettings(
        amqp_url=SecretStr(payments.url), database_url=SecretStr(database.url), retry_tiers=TIERS
    )
    running = await processes.start("payment", settings, PAYMENT_LOG_FORMAT="json")
    try:
        await running.ready()
        running.signal(signal.SIGUSR1)
        await payments.publish(*orders(1))
        async with httpx2.AsyncClient() as http:

            async def counted() -> bool:
                numbers = (await http.get(f"http://127.0.0.1:{running.port}/metrics")).text
                return 'orders_handled_total{outcome="applied",queue="payment.order.created"} 1.0' in numbers

            await until(counted)
    finally:
        assert await running.stop() == 0
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    told = [line["message_id"] for line in lines if line["event"] == "message handled"]
    assert told == [str(orders(1)[0].event_id)]


async def test_no_line_is_about_another_message(broker: Broker, probe_database: Database) -> None:
    """In a group each line says the message that it is about, whoever shares its transaction."""
    service = service_of(Talker(), broker, probe_database)

    async def done() -> bool:
        return await counted(probe_database) == (COUNT, COUNT)

    async with consuming(service):
        with capture_logs([add_subject]) as lines:
            await broker.publish(*orders(COUNT))
            await until(done)
    about = [(line["about"], line["message_id"]) for line in lines if line["event"] == "counting"]
    assert len({message for message, _ in about}) == COUNT
    assert [message for message, told in about if message != told] == []
    groups = service.metrics.registry.get_sample_value("orders_group_size_count")
    assert groups is not None
    assert groups < COUNT  # they did share transactions
